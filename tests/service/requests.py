"""Requests for the tests, and what is read from responses."""

import threading
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from service.errors import PROBLEM_TYPES

RELU = {"type": "relu"}
TRIGGER = {"type": "conv", "kernel_size": 9, "out_channels": 8}  # see `live.PATCHED`
_fresh = count(1)


def network(layers: int, seed: int | None = None, *, kernel_size: int = 3) -> dict[str, Any]:
    """Return a network of `layers` + 2 layers that only `seed` tells from others; by default like none before it."""
    seed = next(_fresh) if seed is None else seed
    conv = {"type": "conv", "kernel_size": kernel_size, "out_channels": 16 + seed // 9000}
    dropout = {"type": "dropout", "p": seed % 9000 / 10_000}
    return {"id": f"{layers}-{seed}", "layers": [conv, dropout, *[RELU] * layers]}


def body(*networks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a prediction request."""
    return {"architectures": list(networks), **fields}


def pair(*layers: dict[str, Any]) -> dict[str, Any]:
    """Return a request of two new networks, the first with `layers` added: worker threads predict it."""
    first, second = network(1), network(1)
    return body({**first, "layers": [*first["layers"], *layers]}, second)


def single(*layers: dict[str, Any]) -> dict[str, Any]:
    """Return a request of one new network with `layers` added: the event loop predicts it when nothing waits."""
    first = network(1)
    return body({**first, "layers": [*first["layers"], *layers]})


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make calls at the same time; return their results in order."""
    results: list[Any] = [None] * len(calls)

    def call(index: int) -> None:
        results[index] = calls[index]()

    threads = [threading.Thread(target=call, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a call has not returned within a minute"
    return results


def metric(client: Any, name: str) -> float:
    """Return the value of a metric, with its labels as /metrics prints them."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name + " ")]
    return float(lines[0].split()[-1])


def problem(response: Any, status: int) -> dict[str, Any]:
    """Check that a response is a problem document of `status`; return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    slug = document["type"].removeprefix("/problems/")
    assert PROBLEM_TYPES[slug].status == status == document["status"]
    assert document["request_id"] == response.headers["x-request-id"]
    assert document["detail"]
    assert len(response.content) < 16_384
    return document
