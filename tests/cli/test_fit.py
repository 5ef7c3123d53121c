"""`fit` and `evaluate` on a table of one's own; what is replaced is said first."""

import json
import shutil

import pytest

from cli.options import TASKS
from model.artifact import read_artifact
from training.fitting.fit_peephole import LSTMConfig


def row(width, task="mine"):
    layers = [
        {"type": "conv", "kernel_size": 3, "out_channels": width},
        {"type": "relu"},
        {"type": "conv", "kernel_size": 1 + width % 5, "channel_ratio": 1.0 + (width % 3) / 2},
    ]
    return {"task": task, "layers": layers, "accuracy": 0.3 + width / 100}


@pytest.fixture
def table(tmp_path):
    def of(task="mine", widths=range(4, 28)):
        file = tmp_path / f"{task}.jsonl"
        file.write_text("\n".join(json.dumps(row(width, task)) for width in widths))
        return file

    return of


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("training.fitting.fit.LSTMConfig", lambda: LSTMConfig(passes=1))


def test_fit_and_evaluate(table, peephole, rejected, tmp_path, quick):
    out = tmp_path / "fitted"
    fitted = peephole("fit", "--table", table(), "--out", out, "--code", "paper", "--description", "Mine.")
    assert fitted.status == 0, fitted.err
    assert fitted.out.endswith(f"try it: peephole evaluate --table OTHER-NETWORKS --artifact {out}\n")
    assert "fold 1 of 5\n" in fitted.err, "without a terminal, a line for each step"
    assert "replaces" not in fitted.err
    card = read_artifact(out).card
    assert (card.task, card.code, card.epochs, card.description) == ("mine", "paper", 1, "Mine.")
    assert card.about is None, "no known protocol measured these"
    evaluate = ("evaluate", "--table", table(), "--artifact", out, "--json")
    assert "--split all" in rejected(*evaluate)
    figures = json.loads(peephole(*evaluate, "--split", "all").out)
    assert (figures["networks"], figures["fitted_to"], figures["new"]) == (24, 24, 0)
    shown = peephole(*evaluate[:-1], "--split", "all")
    assert "fitted_to" in shown.out
    assert "figures flatter" in shown.err


@pytest.fixture
def shipped_copy(tmp_path, monkeypatch):
    """An artifact of mnist-mini, and a fit that ends where it would begin."""

    def begin(*_, **__):
        raise RuntimeError("the fit began")

    monkeypatch.setattr("training.fitting.fit.fit", begin)
    return shutil.copytree(TASKS["mnist-mini"], tmp_path / "copy")


def test_an_artifact_of_the_same_task_is_replaced_and_said(table, peephole, shipped_copy):
    version = read_artifact(shipped_copy).card.version
    found = peephole("fit", "--table", table("mnist-mini"), "--out", shipped_copy)
    assert f"replaces the predictor of mnist-mini ({version}) in {shipped_copy}\n" in found.err
    assert found.err.endswith("peephole: the fit began\n")


def test_an_artifact_of_another_task_is_replaced_only_with_overwrite(table, peephole, rejected, shipped_copy):
    version = read_artifact(shipped_copy).card.version
    arguments = ("fit", "--table", table(), "--out", shipped_copy)
    assert rejected(*arguments) == (
        f"{shipped_copy} holds the predictor of mnist-mini ({version}); choose another folder, or replace it with "
        "--overwrite"
    )
    assert peephole(*arguments, "--overwrite").err.endswith("peephole: the fit began\n")
    (shipped_copy / "members.onnx").write_bytes(b"")
    assert "holds a damaged artifact" in rejected("fit", "--table", table("mnist-mini"), "--out", shipped_copy)


def test_a_file_in_the_place_of_the_folder_is_named(table, rejected):
    assert rejected("fit", "--table", table(), "--out", table()) == f"{table()} is a file; a folder is needed"


def test_too_few_networks_are_rejected(table, peephole, tmp_path):
    found = peephole("fit", "--table", table(widths=range(4, 6)), "--out", tmp_path / "few")
    assert found.status == 1
    assert "too few" in found.err
    assert not (tmp_path / "few").exists()
