"""The warm-up check: a predictor that gives no curves is never loaded, whatever its file looks like."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from model.artifact import CARD_FILE, ZOO, ArtifactError
from model.continuation import CONTINUATION_CARD_FILE
from tests.service import graphs
from tests.service.inference.test_registry import load


def changed(output: str, operation: str, constant: float | list[int]) -> bytes:
    """Return the small predictor with one more operation behind an output."""
    model = onnx.load_from_string(graphs.graph())
    for node in model.graph.node:
        node.output[:] = ["before" if name == output else name for name in node.output]
        node.input[:] = ["before" if name == output else name for name in node.input]
    kind = np.int64 if operation == "Reshape" else np.float32
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(constant, dtype=kind), "constant"))
    model.graph.node.append(helper.make_node(operation, ["before", "constant"], [output]))
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("output", "operation", "constant", "complaint"),
    [
        ("curves", "Add", np.nan, "accuracy is not a finite number"),
        ("structures", "Mul", np.nan, "lower is not a finite number"),
        ("curves", "Reshape", [-1], "the model fails"),
        ("structures", "Reshape", [-1], "the model fails: "),
        ("curves", "Reshape", [7, 7], "the model fails: "),
    ],
)
def test_a_predictor_without_a_curve_in_it_is_rejected(
    tmp_path: Path, output: str, operation: str, constant: float | list[int], complaint: str
) -> None:
    """The line says what is wrong, and in which folder."""
    check_rejected(graphs.artifact(tmp_path / "bad", model=changed(output, operation, constant)), complaint)


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        ({"margins": np.full(graphs.EPOCHS, np.nan)}, "lower is not a finite number"),
        ({"margins": np.zeros(3)}, "the model fails: "),
        ({"structures": np.zeros((1, 2))}, "the model fails: "),
    ],
)
def test_arrays_without_a_curve_in_them_are_rejected(tmp_path: Path, numbers: dict[str, Any], complaint: str) -> None:
    check_rejected(graphs.artifact(tmp_path / "bad", numbers=graphs.arrays(**numbers)), complaint)


def check_rejected(folder: Path, complaint: str) -> None:
    with pytest.raises(ArtifactError) as rejected:
        load(folder)
    assert complaint in str(rejected.value)
    assert str(folder) in str(rejected.value)
    assert "\n" not in str(rejected.value)


def with_card(folder: Path, file: str, **fields: object) -> Path:
    """Return a copy of a shipped artifact, with other fields in one of its cards."""
    shutil.copytree(ZOO / "cifar10-mini", folder)
    card = json.loads((folder / file).read_text()) | fields
    (folder / file).write_text(json.dumps(card))
    return folder


@pytest.mark.parametrize(
    ("file", "epochs"), [(CONTINUATION_CARD_FILE, 9), (CONTINUATION_CARD_FILE, 20), (CARD_FILE, 9)]
)
def test_a_continuation_of_other_epochs_is_rejected(tmp_path: Path, file: str, epochs: int) -> None:
    folder = with_card(tmp_path / "bad", file, epochs=epochs)
    with pytest.raises(ArtifactError, match=f"{epochs}.* epochs|epochs.* {epochs}"):
        load(folder)


def test_a_shipped_predictor_passes(tmp_path: Path) -> None:
    """With its continuation and what reads weights."""
    (model,) = load(with_card(tmp_path / "good", CARD_FILE, task="copy")).models.values()
    assert model.card.task == "copy"
    assert model.continuation is not None
    assert model.weights is not None
