"""What commands print: tables, progress and one-line errors."""

import logging
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

WIDE = 100_000  # characters: nothing is cut in a pipe or a file


def console(*, stderr: bool = False) -> Console:
    """Return a console that reads no markup (`[b]` in a network's id is no style) and cuts only on a terminal."""
    found = Console(markup=False, emoji=False, highlight=False, stderr=stderr)
    if not found.is_terminal:
        found.width = WIDE
    return found


def print_table(title: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table; on a terminal long cells are folded, never cut."""
    table = Table(title=title, box=SIMPLE, title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_figures(title: str, figures: Mapping[str, Any]) -> None:
    """Print figures by name, or a report in words."""
    table = Table(title=title, box=SIMPLE, title_justify="left", show_header=False)
    for name, value in figures.items():
        shown = "unknown" if value is None else str(value)
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else shown)
    console().print(table)


def progress_bar(*, stderr: bool = True, speed_seconds: float = 30) -> Progress:
    """Return a progress bar: shown on a terminal only.

    Args:
        stderr: where it is shown.
        speed_seconds: how much of the past the time left is estimated from.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown = console(stderr=stderr)
    left = TimeRemainingColumn(elapsed_when_finished=True)
    return Progress(*columns, left, console=shown, speed_estimate_period=speed_seconds, disable=not shown.is_terminal)


def describe(error: OSError) -> str:
    """Return an operating system's error with its file first, and without its number."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"


def silence_libraries() -> None:
    """Silence notes of PyTorch's exporter and of scikit-learn's optimisers; errors still come through."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"torch|onnxscript|copyreg|sklearn")
