"""Populations, and the documents of a service that predicts them."""

from typing import Any

CONV, NORM, RELU = {"type": "conv", "kernel_size": 3, "out_channels": 16}, {"type": "batch_norm"}, {"type": "relu"}
POOL = {"type": "max_pool", "kernel_size": 2}


def network(index: int) -> dict[str, Any]:
    """A chain of which each index has its own."""
    depth, width = 1 + index % 4, 8 * (1 + index % 7)
    layers = [CONV | {"out_channels": width + index // 28}, NORM, RELU] * depth
    return {"id": f"n{index}", "layers": [*layers, POOL, *layers]}


def population(count: int) -> list[dict[str, Any]]:
    return [network(index) for index in range(count)]


def answer(body: dict[str, Any], sha256: str = "0" * 64) -> dict[str, Any]:
    """A well-formed answer to a request; a network is predicted by its number of layers."""
    rows = []
    for one in body["architectures"]:
        accuracy = len(one["layers"]) / 100
        rows.append(
            {
                "id": one.get("id"),
                "accuracy": [accuracy],
                "lower": [accuracy / 2],
                "upper": [accuracy * 2],
                "final_accuracy": accuracy,
                "rank": 1,
                "distance": 0.5,
                "in_distribution": True,
                "params": len(one["layers"]),
                "flops": 1,
                "activation_bytes": 1,
                "notes": [],
                "of_a_later_version": 1,
            }
        )
    model = {"task": "tiny", "version": "1", "sha256": sha256}
    return {"request_id": "r", "model": model, "epochs": [5], "predictions": rows}
