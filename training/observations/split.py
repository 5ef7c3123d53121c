"""The part of a table to fit to: no network of the test split, and no duplicate of one."""

from collections.abc import Sequence

from model.encoding.layer_code import LayerCode
from model.network.shapes import Shape
from training.observations.observation import Observation
from training.observations.table import tabulate


def training_split(rows: Sequence[Observation], code: LayerCode, image: Shape) -> tuple[list[Observation], int]:
    """Return the rows outside the test split, and how many networks were left out as duplicates of test networks.

    Duplicates are different networks that the layer code does not tell apart.

    Raises:
        ObservationError: naming the rows whose layers the code cannot express.
    """
    table = tabulate(rows, code, image, clamp=True)
    networks = list(zip(table.network_ids, table.groups, strict=True))
    test = {row.network_id for row in rows if row.split == "test"}
    tested = {group for name, group in networks if name in test}
    kept = {name for name, group in networks if group not in tested}
    return [row for row in rows if row.network_id in kept], len({row.network_id for row in rows} - test - kept)
