"""The part of a table to fit to, so that the test split stays unseen."""

from collections.abc import Sequence

from model.encoding.layer_code import LayerCode
from model.network.shapes import Shape
from training.observations import Observation, held_out
from training.table import tabulate


def training_split(rows: Sequence[Observation], code: LayerCode, image: Shape) -> tuple[list[Observation], int]:
    """Return the rows outside the test split, and how many networks were left out because they have a twin inside.

    Twins are spelled differently, so their hashes differ, but to a predictor they are the same network.

    Raises:
        ObservationError: naming the rows whose layers the code cannot express.
    """
    table = tabulate(rows, code, image, clamp=True)
    networks = list(zip(table.architectures, table.groups, strict=True))
    tested = {group for name, group in networks if held_out(name)}
    training = {name for name, _ in networks if not held_out(name)}
    kept = {name for name, group in networks if group not in tested}
    return [row for row in rows if row.architecture in kept], len(training - kept)
