"""Every `peephole` command in the documents exists, with the options that are given there."""

import os
import re
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.docs.pages import PAGES, ROOT

pytest.importorskip("typer", reason="needs the extra `cli`")

COMMAND = re.compile(r"(?:^|[$|] |=\S+ )peephole ([a-z][a-z-]+)((?:[^`\n|&]|\\\n)*)", re.MULTILINE)


def options_by_command() -> dict[str, set[str]]:
    """Return the options that the documents give each command; the change log names old ones."""
    found: dict[str, set[str]] = defaultdict(set)
    for page in set(PAGES) - {ROOT / "CHANGELOG.md"}:
        code = re.findall(r"^```(?:sh|console)\n(.*?)^```$|`([^`\n]+)`", page.read_text(), re.DOTALL | re.MULTILINE)
        for block in ("".join(parts) for parts in code):
            for command, rest in COMMAND.findall(block):
                found[command] |= set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest.partition("#")[0]))
    return dict(sorted(found.items()))


@pytest.mark.parametrize(("command", "options"), options_by_command().items())
def test_the_command_has_the_options(command, options):
    environment = os.environ | {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-m", "cli.main", command, "--help"]
    done = subprocess.run(run, check=False, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    listed = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", done.stdout))
    assert options - listed == set()
