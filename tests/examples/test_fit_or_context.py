"""The example that compares a fit with the context prints both, and what a worker would do."""

import re
import runpy
import sys

import pytest


def test_both_are_measured_and_the_better_one_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["examples/fit_or_context.py", "data/cifar10-mini.parquet", "--networks", "25", "--no-prior"]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(words[0], run_name="__main__")
    title, context, fitted, decision = capsys.readouterr().out.splitlines()[-4:]
    assert title == "cifar10-mini, 25 networks"
    taus = [float(re.findall(r"tau (-?\d\.\d+)", line)[0]) for line in (context, fitted)]
    assert decision == ("published" if taus[1] > taus[0] else "not published")
