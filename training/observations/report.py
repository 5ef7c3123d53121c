"""A report on a table before anything is fitted to it: what it holds, and warnings."""

from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np

from model.encoding.layer_code import LayerCode, encode
from training.metrics import Ceiling, ceiling
from training.observations.dataset import CurveDataset, to_dataset
from training.observations.user_table import UserTable

ADVISABLE_NETWORKS = 100
SMALL_SPREAD = 0.01
ADVISABLE_CURVES = 20  # measured at the last epoch
MUCH_CLIPPED = 0.05
LOW_CEILING = 0.7


def data_report(table: UserTable, code: LayerCode) -> dict[str, Any]:
    """Describe a table; the result is kept in the card of what is fitted to it.

    Returns:
        Counts of rows and networks, curve lengths, final accuracies, layer types, duplicates, clipped ratios, the noise
        ceiling where networks were trained more than once (else None), and warnings in words.
    """
    rows, image = table.rows, table.image
    dataset = to_dataset(rows, code, image)
    networks = {row.network_id: row for row in rows}
    runs = Counter(row.network_id for row in rows)
    lengths = dataset.curves.shape[1] - np.isnan(dataset.curves[:, ::-1]).argmin(axis=1)
    clipped = sum(bool(encode(row.layers, code, image).notes) for row in networks.values())
    duplicates, across = _duplicates(dataset, [networks[name].split for name in dataset.network_ids])
    noise = ceiling(rows)
    final = dataset.final
    report: dict[str, Any] = {
        "rows": len(rows),
        "networks": len(dataset),
        "rows_skipped": table.skipped_rows,
        "duplicate_rows": table.repeated,
        "networks_repeated": sum(count > 1 for count in runs.values()),
        "duplicates": duplicates,
        "duplicates_across_split": across,
        "image": [image.channels, image.height, image.width],
        "image_assumed": table.assumed,
        "layers": [int(dataset.lengths.min()), int(dataset.lengths.max())],
        "layer_types": dict(Counter(layer["type"] for row in networks.values() for layer in row.layers).most_common()),
        "clipped_share": clipped / len(dataset),
        "epochs": {
            "min": int(lengths.min()),
            "median": float(np.median(lengths)),
            "max": int(lengths.max()),
            "whole_curves": int((lengths == lengths.max()).sum()),
        },
        "final_accuracy": {
            "mean": float(final.mean()),
            "std": float(final.std()),
            **{f"{share}%": float(np.quantile(final, share / 100)) for share in (0, 10, 50, 90, 100)},
        },
        "noise_ceiling": asdict(noise) if noise else None,
    }
    rounded: dict[str, Any] = _rounded(report)
    return rounded | {"warnings": _warnings(report, noise)}


def _duplicates(dataset: CurveDataset, splits: list[str]) -> tuple[int, int]:
    """Count networks that are duplicates in the code, and those of them that have one across the test split."""
    _, group, size = np.unique(dataset.duplicate_groups, return_inverse=True, return_counts=True)
    tested = np.bincount(group, weights=np.array(splits) == "test")
    across = (tested > 0) & (tested < size)
    return int(size[size > 1].sum()), int(size[across].sum())


def _rounded(figures: Any) -> Any:
    if isinstance(figures, dict):
        return {name: _rounded(value) for name, value in figures.items()}
    return round(figures, 4) if isinstance(figures, float) else figures


def _warnings(report: dict[str, Any], noise: Ceiling | None) -> list[str]:
    networks, epochs, final = report["networks"], report["epochs"], report["final_accuracy"]
    is_uneven, is_flat = epochs["min"] < epochs["max"], final["0%"] == final["100%"]
    found = {
        f"{networks} networks are few; {ADVISABLE_NETWORKS} or more give useful ranks": networks < ADVISABLE_NETWORKS,
        "every network has the same final accuracy: there is nothing to rank": is_flat,
        f"final accuracies hardly differ (std {final['std']:.4f}): ranks will be mostly noise": (
            final["std"] < SMALL_SPREAD and not is_flat
        ),
        f"{networks - epochs['whole_curves']} of {networks} curves end before epoch {epochs['max']}; a network's final "
        "accuracy is its last measured one": is_uneven,
        f"only {epochs['whole_curves']} networks were measured at epoch {epochs['max']}; what is predicted there rests "
        "on them": epochs["whole_curves"] < min(ADVISABLE_CURVES, networks),
        f"{report['duplicates']} networks are duplicates in this code, {report['duplicates_across_split']} of them on "
        "both sides of the test split: folds keep them together, and --split train leaves those out": (
            report["duplicates"] > 0
        ),
        f"{report['clipped_share']:.0%} of the networks have channel ratios beyond the code's outermost bins": (
            report["clipped_share"] > MUCH_CLIPPED
        ),
        f"the rows do not give {' and '.join(report['image_assumed'])} of the images; taken as "
        f"{_size(report['image'])}, else give --in-channels and --resolution": bool(report["image_assumed"]),
        f"{report['rows_skipped']} malformed rows were left out": report["rows_skipped"] > 0,
    }
    if noise is not None:
        agree = f"two runs of one network agree at tau {noise.tau:.2f} only: no predictor ranks better than that"
        found[agree] = noise.tau < LOW_CEILING
    return [message for message, applies in found.items() if applies]


def shown(report: dict[str, Any]) -> dict[str, str]:
    """Return the report as lines for people."""
    epochs, final, noise = report["epochs"], report["final_accuracy"], report["noise_ceiling"]
    length = f"{epochs['min']} to {epochs['max']}" if epochs["min"] < epochs["max"] else str(epochs["max"])
    return {
        "networks": f"{report['networks']} in {report['rows']} rows; {report['networks_repeated']} trained repeatedly",
        "left out": f"{report['duplicate_rows']} repeated rows, {report['rows_skipped']} malformed",
        "duplicates in this code": f"{report['duplicates']}, {report['duplicates_across_split']} across the test split",
        "images": _size(report["image"]) + (" (assumed)" if report["image_assumed"] else ""),
        "layers": f"{report['layers'][0]} to {report['layers'][1]} a network",
        "layer types": ", ".join(f"{name} {count}" for name, count in report["layer_types"].items()),
        "ratios clipped": f"in {report['clipped_share']:.1%} of the networks",
        "epochs": f"{length}; {epochs['whole_curves']} curves reach the last",
        "final accuracy": f"{final['mean']:.3f} +- {final['std']:.3f}, from {final['0%']:.3f} to {final['100%']:.3f}",
        "noise ceiling": (
            f"tau {noise['tau']:.3f} over {noise['networks']} networks" if noise else "unknown: no repeats"
        ),
    }


def _size(image: list[int]) -> str:
    return "x".join(map(str, image))
