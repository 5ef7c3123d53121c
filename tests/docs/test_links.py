"""Links of the documents resolve, their anchors too; paths in code spans exist; the documents stay short."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import GENERATED, PAGES, ROOT

MOST_WORDS = 12_000  # of all documents but the generated ones
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
TOP_FOLDERS = (
    "benchmarks",
    "cli",
    "client",
    "data",
    "docker",
    "docs",
    "examples",
    "model",
    "service",
    "tests",
    "training",
)
PATH = re.compile(rf"`((?:{'|'.join(TOP_FOLDERS)})/[\w./-]*)`")


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page):
    dead = []
    for link in LINK.findall(page.read_text()):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", sorted(set(PAGES) - {ROOT / "CHANGELOG.md"}), ids=lambda page: page.name)
def test_paths_exist(page):
    """A page that names a file or a folder of the repository names one that is there."""
    assert [path for path in PATH.findall(page.read_text()) if not (ROOT / path).exists()] == []


def test_the_documents_are_short():
    words = {page.name: len(page.read_text().split()) for page in PAGES if page not in GENERATED}
    assert sum(words.values()) <= MOST_WORDS, words
