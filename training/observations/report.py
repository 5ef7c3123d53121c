"""A report on a table before anything is fitted to it: what it holds, and warnings."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from model.encoding.layer_code import LayerCode, encode
from model.network.shapes import Shape
from training.metrics import Ceiling, ceiling
from training.observations.observation import Observation
from training.observations.table import tabulate
from training.observations.user_table import UserTable

ADVISABLE_NETWORKS = 100
SMALL_SPREAD = 0.01
ADVISABLE_CURVES = 20  # measured at the last epoch
MUCH_CLIPPED = 0.05


def _duplicates(rows: Sequence[Observation], code: LayerCode, image: Shape) -> tuple[int, int, int]:
    """Count duplicates in the code, those across the test split, and clipped networks.

    A clipped network has a channel ratio outside the code's outermost bins.
    """
    groups: dict[bytes, set[str]] = defaultdict(set)
    clipped: set[str] = set()
    split: dict[str, str] = {row.network_id: row.split for row in rows}
    for name, layers in {row.network_id: row.layers for row in rows}.items():
        encoding = encode(layers, code, image, clamp=True)
        groups[encoding.codes.tobytes()].add(name)
        if encoding.clamped:
            clipped.add(name)
    alike = [group for group in groups.values() if len(group) > 1]
    across = [group for group in alike if len({split[name] for name in group}) > 1]
    return sum(map(len, alike)), sum(map(len, across)), len(clipped)


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}


def data_report(table: UserTable, code: LayerCode) -> dict[str, Any]:
    """Describe a table; the result is kept in the card of what is fitted to it.

    Returns:
        Counts of rows and networks, curve lengths, final accuracies, layer types, duplicates, clipped ratios, the noise
        ceiling where networks were trained more than once (else None), and warnings in words.
    """
    rows, image = table.rows, table.image
    tabulated = tabulate(rows, code, image, clamp=True)
    final = tabulated.final
    lengths = np.array([np.flatnonzero(~np.isnan(curve))[-1] + 1 for curve in tabulated.curves])
    duplicates, across, clipped = _duplicates(rows, code, image)
    noise = ceiling(rows)
    types = Counter(
        layer["type"] for layers in {row.network_id: row.layers for row in rows}.values() for layer in layers
    )
    report: dict[str, Any] = {
        "rows": len(rows),
        "networks": len(tabulated),
        "rows_skipped": table.skipped_rows,
        "duplicate_rows": table.repeated,
        "networks_repeated": sum(count > 1 for count in Counter(row.network_id for row in rows).values()),
        "duplicates": duplicates,
        "duplicates_across_split": across,
        "image": [image.channels, image.height, image.width],
        "image_assumed": table.assumed,
        "layers": [int(tabulated.lengths.min()), int(tabulated.lengths.max())],
        "layer_types": dict(types.most_common()),
        "clipped_share": clipped / len(tabulated),
        "epochs": {
            "min": int(lengths.min()),
            "median": float(np.median(lengths)),
            "max": int(lengths.max()),
            "whole_curves": int((lengths == lengths.max()).sum()),
        },
        "final_accuracy": _rounded(
            {
                "mean": float(final.mean()),
                "std": float(final.std()),
                **{f"{share}%": float(np.quantile(final, share / 100)) for share in (0, 10, 50, 90, 100)},
            }
        ),
        "noise_ceiling": _rounded(asdict(noise)) if noise else None,
    }
    return _rounded(report) | {"warnings": _warnings(report, noise)}


def _warnings(report: dict[str, Any], noise: Ceiling | None) -> list[str]:
    networks, epochs, final = report["networks"], report["epochs"], report["final_accuracy"]
    found = {
        f"{networks} networks are few; {ADVISABLE_NETWORKS} or more give useful ranks": networks < ADVISABLE_NETWORKS,
        "every network has the same final accuracy: there is nothing to rank": final["0%"] == final["100%"],
        f"final accuracies hardly differ (std {final['std']:.4f}): ranks will be mostly noise": (
            final["std"] < SMALL_SPREAD and final["0%"] < final["100%"]
        ),
        f"{networks - epochs['whole_curves']} of {networks} curves end before epoch {epochs['max']}; a network's final "
        "accuracy is its last measured one": epochs["min"] < epochs["max"],
        f"only {epochs['whole_curves']} networks were measured at epoch {epochs['max']}; what is predicted there rests "
        "on them": epochs["whole_curves"] < min(ADVISABLE_CURVES, networks),
        f"{report['duplicates']} networks are duplicates in this code, {report['duplicates_across_split']} of them on "
        "both sides of the test split: folds keep them together, and --split train leaves those out": bool(
            report["duplicates"]
        ),
        f"{report['clipped_share']:.0%} of the networks have channel ratios beyond the code's outermost bins": (
            report["clipped_share"] > MUCH_CLIPPED
        ),
        f"the rows do not give {' and '.join(report['image_assumed'])} of the images; taken as "
        f"{'x'.join(map(str, report['image']))}, else give --in-channels and --resolution": bool(
            report["image_assumed"]
        ),
        f"{report['rows_skipped']} malformed rows were left out": report["rows_skipped"] > 0,
    }
    if noise is not None:
        found[f"two runs of one network agree at tau {noise.tau:.2f} only: no predictor ranks better than that"] = (
            noise.tau < 0.7
        )
    return [message for message, applies in found.items() if applies]


def shown(report: dict[str, Any]) -> dict[str, str]:
    """Return the report as lines for people."""
    epochs, final, noise = report["epochs"], report["final_accuracy"], report["noise_ceiling"]
    length = f"{epochs['min']} to {epochs['max']}" if epochs["min"] < epochs["max"] else str(epochs["max"])
    return {
        "networks": f"{report['networks']} in {report['rows']} rows; {report['networks_repeated']} trained repeatedly",
        "left out": f"{report['duplicate_rows']} repeated rows, {report['rows_skipped']} malformed",
        "duplicates in this code": f"{report['duplicates']}, {report['duplicates_across_split']} across the test split",
        "images": "x".join(map(str, report["image"])) + (" (assumed)" if report["image_assumed"] else ""),
        "layers": f"{report['layers'][0]} to {report['layers'][1]} a network",
        "layer types": ", ".join(f"{name} {count}" for name, count in report["layer_types"].items()),
        "ratios clipped": f"in {report['clipped_share']:.1%} of the networks",
        "epochs": f"{length}; {epochs['whole_curves']} curves reach the last",
        "final accuracy": f"{final['mean']:.3f} +- {final['std']:.3f}, from {final['0%']:.3f} to {final['100%']:.3f}",
        "noise ceiling": f"tau {noise['tau']:.3f} over {noise['networks']} networks"
        if noise
        else "unknown: no repeats",
    }
