"""Final accuracy from the first epochs: this project's continuation against published methods, by cross-validation.

    python benchmarks/during.py --data TABLE --artifact model/zoo/TASK --out docs/data/during-TASK.json

The folds are those of the predictor's own cross-validation; every method sees the same networks. `--slow` adds LC-Net and the
parametric mixture (tens of minutes).
"""

import json
import time
import warnings
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from model.artifact import read_artifact
from model.networks.layer_features import LayerQuantities
from model.networks.network_features import network_features
from training.baselines import FinalPredictor
from training.baselines.last_value import LastValue
from training.baselines.nu_svr import BakerSVR
from training.baselines.parametric import ParametricMixture
from training.during.figures import cuts, final_error, interval_figures, rounded, sigmoid
from training.during.prior import out_of_fold
from training.during.ridges import cross_fit, logit
from training.observations import read


def baselines(slow: bool) -> dict[str, FinalPredictor]:
    found: dict[str, FinalPredictor] = {"last seen value": LastValue(), "ν-SVR (Baker et al.)": BakerSVR()}
    if slow:
        from training.baselines.lc_net import LCNet  # needs Pyro, the `study` extra

        found |= {"LC-Net (Klein et al.)": LCNet(), "parametric mixture (Domhan et al.)": ParametricMixture()}
    return found


def main(
    data: Annotated[Path, typer.Option()],
    artifact: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    cache: Annotated[Path, typer.Option()] = Path("scratch"),
    slow: bool = False,
) -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    card = read_artifact(artifact).card
    prior = out_of_fold(read(data), card, cache=cache, on_fit=print)
    curves, fold = prior.table.curves, prior.fold
    whole = ~np.isnan(curves).any(axis=1)
    final = curves[whole, -1]
    codes = torch.from_numpy(prior.table.codes)
    features = network_features(LayerQuantities(card.image)(codes), card.image).double().numpy()
    logits, before = logit(curves), logit(prior.predicted)
    crossed = {"curve alone": cross_fit(logits, None, fold), "curve and prior": cross_fit(logits, before, fold)}
    result: dict[str, object] = {
        "task": card.task,
        "networks": int(whole.sum()),
        "folds": len(np.unique(fold)),
        "seen": {},
    }
    for share, seen in cuts(curves.shape[1]).items():
        rows = {"before training": rounded(final_error(final, prior.predicted[whole, -1]))}
        result["seen"][f"{share:.0%}"] = {"epochs": seen, "methods": rows}  # type: ignore[index]
        for name, crossing in crossed.items():
            error = final_error(final, sigmoid(crossing.predicted[seen, whole, -1]))
            rows[f"Peephole, {name}"] = rounded(error) | interval_figures(crossing, seen)
        for name, method in baselines(slow).items():
            started = time.perf_counter()
            predicted = np.empty(len(curves))
            for number in np.unique(fold):
                rest, held_out = (fold != number) & whole, (fold == number) & whole
                method.fit(curves[rest], features[rest])
                predicted[held_out] = method.predict(curves[held_out, :seen], features[held_out])
            rows[name] = rounded(final_error(final, predicted[whole]))
            print(share, name, rows[name], f"{time.perf_counter() - started:.0f} s", flush=True)
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(table(result))


def table(result: dict[str, object]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| seen | method | tau | R2 | MSE | MAE | 90 % interval covers |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for share, entry in result["seen"].items():  # type: ignore[attr-defined]
        for name, f in entry["methods"].items():
            cover = f"{f['final_coverage']:.3f} (width {f['final_width']:.3f})" if "final_coverage" in f else ""
            lines.append(
                f"| {share} | {name} | {f['tau']:.3f} | {f['r2']:.3f} | {f['mse']:.5f} | {f['mae']:.4f} | {cover} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
