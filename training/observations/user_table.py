"""A user's table, ready to learn from: rows of one task that a layer code can express, none twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.encoding.layer_code import CodeError, LayerCode, LayerFault, encode
from model.network.schema import Layer, pair
from model.network.shapes import Shape
from training.observations.observation import Observation, ObservationError
from training.observations.read import Rows, read_rows
from training.observations.row_faults import task_name
from training.observations.tasks import image_of, task_of


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
    assumed: list[str]
    repeated: int
    skipped: str
    skipped_rows: int
    ignored_rows: int = 0


def without_repeated(rows: Sequence[Observation]) -> tuple[list[Observation], int]:
    """Drop rows equal in network, seed and curve; number the runs of a network that share a seed; count the dropped."""
    seen: set[tuple[str, int, bool, tuple[float, ...]]] = set()
    seeds: dict[str, set[int]] = {}
    kept = []
    for row in rows:
        key = row.network_id, row.seed, row.only_last, tuple(row.accuracy)
        if key in seen:
            continue
        seen.add(key)
        used = seeds.setdefault(key[0], set())
        seed = row.seed if row.seed not in used else max(used) + 1
        used.add(seed)
        kept.append(row if seed == row.seed else row.model_copy(update={"seed": seed}))
    return kept, len(rows) - len(kept)


def _describe(fault: LayerFault, layer: Layer, code: LayerCode) -> str:
    if fault.field == "type":
        return f"is of type {layer['type']}, which the {code.name} code does not know; it knows {', '.join(code.rows)}"
    if fault.field == "kernel_size" and (layer["type"] == "conv" or layer["type"].endswith("_pool")):
        height, width = pair(layer["kernel_size"])  # type: ignore[typeddict-item]
        return f"is a {layer['type']} of kernel {height}x{width}, but its kernel {fault.message}"
    return fault.message


def check_code(found: Rows, code: LayerCode, image: Shape) -> list[Observation]:
    """Return the rows whose layers a code can express; the others are added to `found.faults`."""
    kept = []
    for number, row in zip(found.numbers, found.good, strict=True):
        try:
            encode(row.layers, code, image, clamp=True)
            kept.append(row)
        except CodeError as error:
            for fault in error.faults:
                message = _describe(fault, row.layers[fault.layer], code)
                found.faults.add(number, ("layers", fault.layer, fault.field), message)
    return kept


def check_against(found: Rows, epochs: int | None, **image: int | None) -> Rows:
    """Return the rows that do not contradict the predictor or the options; the others are added to `found.faults`.

    Args:
        found: rows of one task.
        epochs: of the longest curve that can be compared.
        image: `in_channels` and `resolution` of the images, where they are known.
    """
    kept = []
    for number, row in zip(found.numbers, found.good, strict=True):
        faults = {
            name: f"is {given}, but the images' {name} is {known}"
            for name, known in image.items()
            if None not in (known, given := getattr(row, name)) and given != known
        }
        if epochs is not None and len(row.accuracy) > epochs:
            faults["accuracy"] = f"has {len(row.accuracy)} epochs, but the predictor knows {epochs}"
        for name, message in faults.items():
            found.faults.add(number, (name,), message)
        if not faults:
            kept.append((number, row))
    return Rows([row for _, row in kept], [number for number, _ in kept], found.faults)


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
    """Read a user's table.

    Args:
        path: Parquet or JSON Lines with `task`, `layers` and `accuracy` in each row.
        code: that all layers must be expressible in.
        task: which rows, when the table holds several tasks; mistakes in the others are ignored.
        resolution: of the task's images, where the rows do not give it.
        in_channels: of the task's images, where the rows do not give it.
        epochs: of the longest curve that can be compared with a predictor's.
        skip_bad_rows: leave malformed rows out instead of rejecting the table.

    Raises:
        ObservationError: naming every row that is malformed or inexpressible, or contradicts the options.
    """
    found = read_rows(path, task, in_channels)
    if found.faults and not any(task is None or row.task == task_name(task) for row in found.good):
        raise found.error(path)
    if not found.good:
        raise ObservationError(f"{path} holds no task {task}; {found.ignored} malformed row(s) are of others")
    name, of_task = task_of(found.good, task)
    image = image_of(of_task, resolution, in_channels)
    pairs = [(row, number) for row, number in zip(found.good, found.numbers, strict=True) if row.task == name]
    chosen = Rows([row for row, _ in pairs], [number for _, number in pairs], found.faults)
    chosen = check_against(chosen, epochs, in_channels=in_channels, resolution=resolution)
    kept = check_code(chosen, code, image)
    if found.faults and not (skip_bad_rows and kept):
        raise ObservationError(f"{found.error(path)}\ncorrect them, or leave them out with --skip-bad-rows")
    rows, repeated = without_repeated(kept)
    given = {
        "in_channels": in_channels or any(row.in_channels for row in rows),
        "resolution": resolution or any(row.resolution for row in rows),
    }
    return UserTable(
        rows,
        image,
        [name for name, known in given.items() if not known],
        repeated,
        str(found.faults),
        len(found.faults.rows),
        found.ignored,
    )
