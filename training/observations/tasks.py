"""Which task the rows of a table belong to, and what its images look like."""

from collections.abc import Sequence

from model.network.shapes import Shape
from training.observations.observation import DEFAULT_CHANNELS, Observation, ObservationError
from training.observations.row_faults import task_name

DEFAULT_RESOLUTION = 32


def task_of(observations: Sequence[Observation], task: str | None = None) -> tuple[str, list[Observation]]:
    """Return the task and its rows.

    Raises:
        ObservationError: when the table holds several tasks and none was chosen, or the chosen one is missing.
    """
    tasks = sorted({row.task for row in observations})
    if task is None and len(tasks) > 1:
        raise ObservationError(f"the table holds several tasks ({', '.join(tasks)}); choose one with --task")
    chosen = task_name(task) if task else tasks[0]
    if chosen not in tasks:
        raise ObservationError(f"the table holds no task {chosen}; it holds {', '.join(tasks)}")
    return chosen, [row for row in observations if row.task == chosen]


def other_tasks(tables: Sequence[Sequence[Observation]], task: str) -> list[list[Observation]]:
    """Return the rows of each task of some tables but one, in the order of the tasks' names.

    Raises:
        ObservationError: when there are tables and none of them holds another task.
    """
    rows = [row for table in tables for row in table if row.task != task]
    if tables and not rows:
        raise ObservationError(f"the tables to learn from first hold no task but {task}")
    return [[row for row in rows if row.task == name] for name in sorted({row.task for row in rows})]


def image_of(
    observations: Sequence[Observation], resolution: int | None = None, in_channels: int | None = None
) -> Shape:
    """Return the shape of the task's images: as given, else from the rows, else 3 channels and 32 pixels."""
    channels = (
        {in_channels} if in_channels is not None else {row.in_channels for row in observations if row.in_channels}
    )
    channels = channels or {DEFAULT_CHANNELS}
    sizes = {resolution} if resolution is not None else {row.resolution for row in observations if row.resolution}
    sizes = sizes or {DEFAULT_RESOLUTION}
    if len(channels) > 1 or len(sizes) > 1:
        raise ObservationError(
            f"the rows disagree on the images: channels {sorted(channels)}, resolutions {sorted(sizes)}"
        )
    (channel,), (size,) = channels, sizes
    assert size is not None  # noqa: S101 - None was filtered out
    assert channel is not None  # noqa: S101 - as was this
    return Shape(channel, size, size)
