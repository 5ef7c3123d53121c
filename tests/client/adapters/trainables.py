"""Trials that replay curves, for tuners that run them in other processes."""

import json
from pathlib import Path
from typing import Any

import numpy as np

WIDTHS = (4, 256)


def curve_of(index: int) -> list[float]:
    """Curves of five kinds: the first is the best; later ones are hopeless, diverge, or are too long."""
    rising = (0.55 + 0.25 * (1 - np.exp(-np.arange(20) / 4))).tolist()
    flat = [0.11 + 0.001 * epoch for epoch in range(20)]
    kinds = [rising, flat, [0.3, 0.35, *[float("nan")] * 18], [0.1] * 30, flat]
    return kinds[index % len(kinds)]


def report(config: dict[str, Any]) -> None:
    """A Ray trial; the nested metric is `eval/accuracy`."""
    from ray import tune

    for accuracy in curve_of(config["index"]):
        tune.report({"eval": {"accuracy": accuracy}})


def restarted(config: dict[str, Any]) -> None:
    """A Ray trial that fails at its fourth epoch, once, and goes on from its checkpoint."""
    from ray import tune

    curve, checkpoint, first = curve_of(config["index"]), tune.get_checkpoint(), 0
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            first = json.loads((Path(folder) / "epoch.json").read_text()) + 1
    for epoch in range(first, len(curve)):
        if epoch == 3 and checkpoint is None:
            raise RuntimeError("the node is gone")
        folder = Path(config["folder"]) / f"{config['index']}-{epoch}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "epoch.json").write_text(json.dumps(epoch))
        tune.report({"eval": {"accuracy": curve[epoch]}}, checkpoint=tune.Checkpoint.from_directory(str(folder)))
