"""Does it find good networks (the paper's Section 5.3): selected, random and hand-made networks, really trained."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.encoding.layer_code import encode, pad
from model.network.schema import Layer
from model.network.shapes import cost
from model.runtime import Predictor
from training.observations.observation import Observation
from training.observations.read import read
from training.study.markdown import table
from training.study.shipped import Measured

ORIGINS = {
    "selected": "predicted best of 10,000",
    "random": "sampled at random",
    "vgg": "VGG-style",
}
INTRODUCTION = """## Finding good networks (the paper's Section 5.3)

`peephole select --task cifar10-mini --candidates 10000 --top 5 --json |
peephole train - --protocol cifar10-mini --seeds 3`; the random ones come from
`peephole select --candidates 5 --top 5 --seed 1`, the VGG-style ones from
`examples/vgg_style.json`. All are trained alike, three seeds each.
"""


@dataclass(frozen=True)
class _Network:
    layers: list[Layer]
    finals: list[float]

    @property
    def mean(self) -> float:
        return float(np.mean(self.finals))


def _networks(rows: list[Observation]) -> list[_Network]:
    grouped: dict[str, list[Observation]] = {}
    for row in rows:
        grouped.setdefault(row.network_id, []).append(row)
    found = [_Network(list(same[0].layers), [row.accuracy[-1] for row in same]) for same in grouped.values()]
    return sorted(found, key=lambda one: -one.mean)


def _rows(origin: str, networks: list[_Network], predictor: Predictor) -> list[list[object]]:
    card = predictor.card
    codes = [encode(one.layers, card.layer_code, card.image, clamp=True).codes for one in networks]
    curves = predictor.run(*pad(codes), [card.epochs])
    rows: list[list[object]] = []
    for row, one in enumerate(networks):
        params, flops = cost(one.layers, card.image)
        interval = f"{curves.lower[row, 0]:.3f} to {curves.upper[row, 0]:.3f}"
        seeds = ", ".join(f"{final:.3f}" for final in one.finals)
        predicted = float(curves.accuracy[row, 0])
        rows.append([ORIGINS[origin], params, f"{flops / 1e6:.1f} M", predicted, interval, one.mean, seeds])
    return rows


def found_networks(measured: Measured, folder: Path) -> list[str]:
    """Return the section on a task, or nothing where no networks were selected and trained.

    Args:
        measured: the task and its shipped predictor.
        folder: of the tables `<task>-<origin>.parquet`.
    """
    tables = {origin: folder / f"{measured.task.name}-{origin}.parquet" for origin in ORIGINS}
    if measured.predictor is None or not all(path.exists() for path in tables.values()):
        return []
    networks = {origin: _networks(read(path)) for origin, path in tables.items()}
    rows = [line for origin, found in networks.items() for line in _rows(origin, found, measured.predictor)]
    best = {origin: max(one.mean for one in found) for origin, found in networks.items()}
    population = _networks(measured.task.rows)
    header = ["network", "params", "FLOPs", "predicted", "90 % interval", "measured, mean", "seeds"]
    return [
        INTRODUCTION,
        *table(header, rows),
        f"Best of the selected {best['selected']:.3f}, of the random {best['random']:.3f}, the VGG-style ones "
        f"{best['vgg']:.3f}; the best of the {len(population)} networks that were measured to learn from and to test "
        f"{population[0].mean:.3f} ({len(population[0].finals)} seed).",
        "",
    ]
