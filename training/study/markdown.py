"""Markdown tables, and the README's place for one."""

from collections.abc import Sequence
from pathlib import Path

MARKERS = ("<!-- predictors, written by make study -->", "<!-- end of predictors -->")


def cell(value: object) -> str:
    """Return a value as a table shows it: four digits of a figure, nothing for `None`."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return the lines of a table, an empty one after it."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return [*lines, *("| " + " | ".join(map(cell, row)) + " |" for row in rows), ""]


def update_readme(readme: Path, lines: Sequence[str]) -> None:
    """Put a table between the README's markers."""
    before, rest = readme.read_text().split(MARKERS[0])
    _, after = rest.split(MARKERS[1])
    readme.write_text("\n".join([before + MARKERS[0], "", *lines]) + MARKERS[1] + after)
