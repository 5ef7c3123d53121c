"""The project's documents, as tests read them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
GENERATED = {ROOT / "docs/results.md", ROOT / "docs/benchmarks.md", ROOT / "docs/importers.md"}


def read(name: str) -> str:
    """Return the text of a page, named from the repository's root."""
    return (ROOT / name).read_text()


def code_blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def table_rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the table rows under a heading that begin with a name in a code span."""
    section = text.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
