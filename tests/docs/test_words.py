"""The field's plain words: no page and no file says what has a better name (`docs/design.md`, CONTRIBUTING)."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import GENERATED, PAGES, ROOT

BANNED = {
    r"who(m)?ever": "client, user, people",
    r"of late": "recently",
    r"hung up on": "disconnected",
    r"dearer": "more expensive",
    r"as good as": "almost, equal to",
    r"envelopes?": "request",
    r"ledgers?": "",
    r"lingering": "",
    r"twins?": "duplicates under the encoding",
    r"untrainable": "fails to train",
    r"verdicts?": "decision",
    r"judg(e|es|ed|ing)": "early-stopping client, decide",
    r"refus(e|es|ed|ing|als?)": "reject, rejection",
    r"(?<!your )own tables?": "user table",
}
ALLOWED = {("CHANGELOG.md", "verdicts"), ("CHANGELOG.md", "judge")}  # names that are gone
SEARCHED = ("examples/*.py", "tests/docs/*.py")
FILES = sorted(
    ({*PAGES} - GENERATED) | {file for pattern in SEARCHED for file in ROOT.glob(pattern)} - {Path(__file__)}
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_plain_words(file):
    text = file.read_text()
    found = []
    for pattern, better in BANNED.items():
        for match in re.finditer(rf"(?<![A-Za-z]){pattern}(?![A-Za-z])", text, re.IGNORECASE):
            word = match.group().lower()
            if (file.name, word) not in ALLOWED:
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"line {line}: {match.group()}" + (f"; say: {better}" if better else ""))
    assert found == []
