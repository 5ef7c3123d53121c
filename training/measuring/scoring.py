"""Zero-cost scores of many networks, kept in a file as they are measured."""

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import TypeAdapter, ValidationError

from model.network.hashing import canonical_hash
from model.network.schema import Layer
from model.network.shapes import Shape
from model.proxies.measure import IMAGES, measure_layers
from training.measuring import datasets
from training.observations.observation import Observation, proxies_text
from training.protocols import TrainingProtocol

Layers = Sequence[Layer]
Scores = dict[str, float]
_LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])


def score(layers: Layers, protocol: TrainingProtocol, device: str) -> Scores:
    """Return the scores of a network on the first training images of a protocol (`model.proxies`)."""
    images, labels = _images(protocol, device)
    torch.set_flush_denormal(True)  # as where networks are trained
    return measure_layers(layers, protocol.image, protocol.classes, images, labels)


@cache
def _images(protocol: TrainingProtocol, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Load the images once in each process, which works on one thread."""
    torch.set_num_threads(1)
    train, _ = datasets.load(protocol)
    return train.images[:IMAGES].to(device), train.labels[:IMAGES].to(device)


@dataclass(frozen=True)
class ScoreFile:
    """Networks with their scores, as JSON Lines; a line that was cut off by a kill is dropped.

    Attributes:
        path: of the file.
        image: what the networks read.
    """

    path: Path
    image: Shape

    def read(self) -> dict[str, Scores]:
        """Return the scores by canonical hash."""
        if not self.path.is_file():
            return {}
        found, whole = {}, []
        for line in self.path.read_text().splitlines():
            try:
                known = json.loads(line)
                found[canonical_hash(_LAYERS.validate_python(known["layers"]), self.image)] = known["proxies"]
            except (ValueError, KeyError, TypeError, ValidationError):
                continue
            whole.append(line)
        partial = self.path.with_suffix(".partial")
        partial.write_text("".join(f"{line}\n" for line in whole))
        partial.replace(self.path)
        return found

    def append(self, network: dict[str, Any], scores: Scores) -> None:
        """Append a network, which has `layers`, with its scores."""
        layers = _LAYERS.dump_python(network["layers"], mode="json", exclude_none=True)
        line = network | {"layers": layers, "proxies": json.loads(proxies_text(scores))}
        with self.path.open("a") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
            file.flush()


def score_all(
    networks: Sequence[dict[str, Any]],
    file: ScoreFile,
    protocol: TrainingProtocol,
    *,
    device: str = "cpu",
    workers: int = 1,
    on_start: Callable[[int, int], None] = lambda done, total: None,
    on_score: Callable[[], None] = lambda: None,
) -> dict[str, Scores]:
    """Score distinct networks, add those that the file does not have to it, and return all by canonical hash.

    Args:
        networks: objects with `layers`.
        file: where they are kept.
        protocol: whose images.
        device: where networks are measured: `cpu`, `cuda`.
        workers: processes; with 1 the networks are measured in this one.
        on_start: called with the number of networks already in the file and the total.
        on_score: called after each network, when it is in the file.

    Raises:
        DataNotFoundError: when the images are missing.
    """
    datasets.load(protocol)  # fail here, in one line, and not in every worker; decoded images are cached
    by_hash = {canonical_hash(one["layers"], protocol.image): one for one in networks}
    known = file.read()
    missing = [name for name in by_hash if name not in known]
    on_start(len(by_hash) - len(missing), len(by_hash))
    scored = partial(score, protocol=protocol, device=device)
    with _mapping(workers) as run:
        for name, scores in zip(missing, run(scored, [by_hash[name]["layers"] for name in missing]), strict=True):
            file.append(by_hash[name], scores)
            known[name] = scores
            on_score()
    return known


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterator[Scores]]]:
    """Yield a `map` that works in this process, or in several others."""
    if workers == 1:
        try:
            yield map
        finally:
            torch.set_flush_denormal(False)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield pool.map
        finally:
            pool.shutdown(cancel_futures=True)


def write_scores(source: Path, target: Path, rows: Sequence[Observation], scores: dict[str, Scores]) -> None:
    """Write a Parquet table of observations with their scores as the column `proxies`; all else stays as it is.

    Args:
        source: the table.
        target: replaced in one step; it may be the same.
        rows: of the table.
        scores: by canonical hash.
    """
    column = pa.array([proxies_text(scores[row.canonical]) for row in rows], pa.string())
    table = pq.read_table(source)
    names = table.column_names
    if "proxies" in names:
        table = table.set_column(names.index("proxies"), "proxies", column)
    else:
        table = table.add_column(names.index("started_at") if "started_at" in names else len(names), "proxies", column)
    written = target.with_suffix(".partial")
    pq.write_table(table, written, compression="zstd", compression_level=12)
    written.replace(target)
