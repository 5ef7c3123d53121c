"""Check a row that a caller encoded itself against the code table of the task."""

from collections.abc import Sequence

from model.encoding.layer_code import DROPOUT_UNITS, MAX_STRIDE, MAX_WIDTH, TABLE_1_COLUMNS, LayerCode
from model.network.shapes import Shape

_WIDENING = {"conv", "linear"}
_STRIDING = {"conv", "max_pool", "avg_pool"}


def check_row(row: Sequence[int], code: LayerCode, image: Shape) -> tuple[int | None, str] | None:
    """Return the column that is outside the code and what it may hold; `None` when the row is in the table.

    The column is `None` when the row as a whole has the wrong length.
    """
    if len(row) != len(code.columns):
        return None, f"the {code.name} code has {len(code.columns)} columns: {', '.join(code.columns)}"
    kinds = {entry.id: (name, entry) for name, entry in code.rows.items()}
    if row[0] not in kinds:
        return 0, f"type must be one of {', '.join(map(str, sorted(kinds)))}"
    name, entry = kinds[row[0]]
    kernels = entry.kernels or range(1, 2)
    unit = range(code.unit_bin, code.unit_bin + 1)
    allowed = dict(zip(TABLE_1_COLUMNS[1:3], (kernels, kernels), strict=True)) | {
        "channel_ratio": range(1, len(code.bins) + 1) if name in _WIDENING else unit,
        "stride": range(1, MAX_STRIDE + 1 if name in _STRIDING else 2),
        "dropout": range(DROPOUT_UNITS + 1 if name == "dropout" else 1),
        "width": range(1, MAX_WIDTH + 1),
        "map_height": range(1, image.height + 1),
        "map_width": range(1, image.width + 1),
    }
    for index, column in enumerate(code.columns[1:], 1):
        span = allowed[column]
        if row[index] not in span:
            return index, f"{column} of {name} must be {span[0]} to {span[-1]}"
    return None
