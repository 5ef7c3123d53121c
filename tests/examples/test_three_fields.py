"""The example that converts a table says what it cannot do, in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: "),
        (["missing.parquet", "mine.jsonl"], "missing.parquet is not a file"),
        (["README.md", "mine.jsonl"], "README.md is not a Parquet table"),
        (["data/mnist-mini.parquet", "missing/mine.jsonl"], "cannot write missing/mine.jsonl"),
    ],
)
def test_the_example_says_what_it_cannot_do(arguments, message):
    script = [sys.executable, ROOT / "examples" / "three_fields.py", *arguments]
    found = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 1
    assert found.stderr.startswith(message)
    assert found.stderr.count("\n") == 1
