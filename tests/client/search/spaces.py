"""The spaces that the tests search."""

from peephole.search import Space

LIMIT = 2e7
PAPER = Space((3, 16, 16), kind="paper", width=8, constraints={"flops": LIMIT})
FAMILIES = Space((3, 16, 16), constraints={"flops": LIMIT})
SPACES = [PAPER, FAMILIES]
