"""Final accuracy from the first epochs: this project's continuation against published methods, by cross-validation.

    python -m benchmarks.during --data TABLE --artifact model/zoo/TASK --out docs/data/during-TASK.json

The project's own figures are those in the artifact's `continuation.json`; the other methods are fitted here, on the
same folds of the same networks. Methods that `--out` already has for the same curves are not run again. `--slow` adds
LC-Net (the `study` extra) and the parametric mixture, minutes to tens of minutes.
"""

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from sklearn.model_selection import KFold

from benchmarks.curves import fingerprint
from model.artifact import read_artifact
from model.continuation import read_continuation
from model.encoding.features import attributes, network_features
from training.baselines import FinalPredictor
from training.baselines.nu_svr import BakerSVR
from training.baselines.parametric import ParametricMixture
from training.curves.figures import final_error, rounded
from training.observations.read import read
from training.observations.table import tabulate

OWN = {
    "before_training": "Peephole, before training",
    "with_prior": "Peephole, curve and layers",
    "curve_only": "Peephole, curve alone",
    "last_seen_value": "last seen value",
}


def _lc_net() -> FinalPredictor:
    from training.baselines.lc_net import LCNet

    return LCNet()


def main(
    data: Annotated[Path, typer.Option()],
    artifact: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    slow: bool = False,
) -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    card = read_artifact(artifact).card
    continuation = read_continuation(artifact)
    assert continuation is not None
    whole = card.training["split"] == "all"  # else the continuation learnt from the training split alone
    rows_of_task = [row for row in read(data) if row.task == card.task and (whole or row.split == "train")]
    table = tabulate(rows_of_task, card.layer_code, card.image, clamp=True)
    curves = table.curves
    folds = list(KFold(5, shuffle=True, random_state=0).split(curves))
    features = network_features(attributes(table.codes, table.lengths, card.image))
    methods: dict[str, Callable[[], FinalPredictor]] = {"ν-SVR (Baker et al.)": BakerSVR}
    if slow:
        methods |= {"LC-Net (Klein et al.)": _lc_net, "parametric mixture (Domhan et al.)": ParametricMixture}
    digest = fingerprint(curves)
    result: dict[str, Any] = {"task": card.task, "networks": len(curves), "curves": digest, "seen": {}}
    before = json.loads(out.read_text()) if out.exists() else {}
    kept = before["seen"] if before.get("curves") == digest else {}
    shares = {share: entry for share, entry in continuation.card.metrics.items() if isinstance(entry, dict)}
    for share, own in shares.items():
        rows = {title: own[name] for name, title in OWN.items()}
        result["seen"][share] = {"epochs": own["epochs_seen"], "methods": rows}
        others = kept.get(share, {}).get("methods", {})
        rows.update({name: figures for name, figures in others.items() if name not in rows})
    for name, make in methods.items():
        for share, entry in result["seen"].items():
            if name in entry["methods"]:
                continue
            started, seen = time.perf_counter(), entry["epochs"]
            predicted = np.empty(len(curves))
            for rest, test in folds:
                method = make()
                method.fit(curves[rest], features[rest])
                predicted[test] = method.predict(curves[test, :seen], features[test])
            entry["methods"][name] = rounded(final_error(curves[:, -1], predicted))
            print(share, name, entry["methods"][name], f"{time.perf_counter() - started:.0f} s", flush=True)
            out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(markdown(result))


def markdown(result: dict[str, Any]) -> str:
    """Return the figures as a table."""
    lines = ["| seen | method | tau | R2 | MSE | MAE | 90 % interval |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for share, entry in result["seen"].items():
        for name, f in entry["methods"].items():
            cover = f"covers {f['final_coverage']:.3f}, {f['final_width']:.3f} wide" if "final_width" in f else ""
            lines.append(
                f"| {share} | {name} | {f['tau']:.3f} | {f['r2']:.3f} | {f['mse']:.5f} | {f['mae']:.4f} | {cover} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
