"""A user's table, ready to learn from: rows of one task that a layer code can express, none twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from model.encoding.layer_code import LayerCode, encode
from model.network.graph import NetworkError
from model.network.shapes import Shape
from training.observations.dataset import image_of, task_of
from training.observations.observation import Observation, ObservationError, task_name
from training.observations.read import read_rows

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class UserTable:
    """What is used of a user's table.

    Attributes:
        rows: of one task, all expressible in the code.
        image: shape of the task's images.
        assumed: which of the image's sizes are defaults.
        repeated: how many rows repeated another's network, seed and curve, and were dropped.
        skipped: what was wrong with the rows left out, if any.
        skipped_rows: how many those were.
        ignored_rows: malformed rows of other tasks.
    """

    rows: list[Observation]
    image: Shape
    assumed: list[str] = field(default_factory=list)
    repeated: int = 0
    skipped: str = ""
    skipped_rows: int = 0
    ignored_rows: int = 0


def load(
    path: Path,
    code: LayerCode,
    *,
    task: str | None = None,
    resolution: int | None = None,
    in_channels: int | None = None,
    epochs: int | None = None,
    skip_bad_rows: bool = False,
) -> UserTable:
    """Read a user's table, of which all rows that are used are expressible in a layer code.

    Args:
        path: Parquet or JSON Lines with `task`, `layers` and `accuracy` in each row.
        code: that all layers must be expressible in.
        task: which rows, when the table holds several tasks; errors in the others are ignored.
        resolution: of the task's images, where the rows do not give it.
        in_channels: of the task's images, where the rows do not give it.
        epochs: of the longest curve that can be compared with a predictor's.
        skip_bad_rows: leave malformed rows out instead of rejecting the table.

    Raises:
        ObservationError: naming every row that is malformed or inexpressible, or contradicts the options.
    """
    found = read_rows(path, task, in_channels)
    if found.errors and not any(task is None or row.task == task_name(task) for row in found.good.values()):
        raise found.error(path)
    if not found.good:
        raise ObservationError(f"{path} holds no task {task}; {found.ignored} malformed row(s) are of others")
    name, of_task = task_of(list(found.good.values()), task)
    image = image_of(of_task, resolution, in_channels)
    given = {"in_channels": in_channels, "resolution": resolution}
    kept = []
    for number, row in found.good.items():
        if row.task != name:
            continue
        errors = [*_contradictions(row, given, epochs), *_outside_code(row, code, image)]
        for where, message in errors:
            found.errors.add(number, where, message)
        if not errors:
            kept.append(row)
    if found.errors and not (skip_bad_rows and kept):
        raise ObservationError(f"{found.error(path)}\ncorrect them, or leave them out with --skip-bad-rows")
    rows, repeated = without_repeated(kept)
    assumed = [size for size, known in given.items() if not (known or any(getattr(row, size) for row in rows))]
    return UserTable(
        rows, image, assumed, repeated, str(found.errors), len(found.errors.rows), ignored_rows=found.ignored
    )


def without_repeated(rows: Sequence[Observation]) -> tuple[list[Observation], int]:
    """Drop rows equal in network, seed and curve; number the runs of a network that share a seed; count the dropped."""
    seen: set[tuple[str, int, bool, tuple[float, ...]]] = set()
    seeds: dict[str, set[int]] = {}
    kept = []
    for row in rows:
        key = row.network_id, row.seed, row.final_only, tuple(row.accuracy)
        if key in seen:
            continue
        seen.add(key)
        used = seeds.setdefault(row.network_id, set())
        seed = row.seed if row.seed not in used else max(used) + 1
        used.add(seed)
        kept.append(row if seed == row.seed else row.model_copy(update={"seed": seed}))
    return kept, len(rows) - len(kept)


def _contradictions(row: Observation, image: dict[str, int | None], epochs: int | None) -> Iterator[tuple[Place, str]]:
    """Yield where a row contradicts the options or the predictor."""
    for name, known in image.items():
        given = getattr(row, name)
        if None not in (known, given) and given != known:
            yield (name,), f"is {given}, but the images' {name} is {known}"
    if epochs is not None and len(row.accuracy) > epochs:
        yield ("accuracy",), f"has {len(row.accuracy)} epochs, but the predictor knows {epochs}"


def _outside_code(row: Observation, code: LayerCode, image: Shape) -> Iterator[tuple[Place, str]]:
    """Yield what makes no sense in a network, or what a layer code cannot express."""
    try:
        encode(row.layers, code, image)
    except NetworkError as error:
        for fault in error.faults:
            value = row.layers[fault.layer].get(fault.field)
            written = list(value) if isinstance(value, tuple) else value
            is_written = "" if value is None else f"is {written}"
            yield ("layers", fault.layer, fault.field), f"{is_written}: {fault.message}"
