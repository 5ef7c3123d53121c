"""What is tried before a predictor is taken over, where predictors are looked for, and what counts as a change."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx2
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from model.artifact import CARD_FILE, MODEL_FILE, ZOO, ArtifactError
from model.continuation import CONTINUATION_CARD_FILE
from service import service
from service.loading import Loaded
from service.models import Model, folders, load
from service.reloading import signature
from service.settings import Settings
from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.live import running
from tests.service.test_reloading import BODY, replace, until


def changed(output: str, operation: str, constant: float | list[int]) -> bytes:
    """The small predictor with one more operation behind an output."""
    model = onnx.load_from_string(graphs.graph())
    for node in model.graph.node:
        node.output[:] = ["before" if name == output else name for name in node.output]
        node.input[:] = ["before" if name == output else name for name in node.input]
    kind = np.int64 if operation == "Reshape" else np.float32
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(constant, dtype=kind), "constant"))
    model.graph.node.append(helper.make_node(operation, ["before", "constant"], [output]))
    return model.SerializeToString()


def loaded(*paths: Path) -> dict[str, Model]:
    return load(paths, with_shipped=False, threads=1, provider="cpu", lanes=1)


@pytest.mark.parametrize(
    ("output", "operation", "constant", "complaint"),
    [
        ("accuracy", "Add", np.nan, "accuracy is not a finite number"),
        ("upper", "Add", np.inf, "upper is not a finite number"),
        ("distance", "Mul", np.nan, "distance is not a finite number"),
        ("lower", "Reshape", [-1], "lower has shape [5], not [1, 5]"),
        ("distance", "Reshape", [1, 1], "distance has shape [1, 1], not [1]"),
        ("accuracy", "Add", 7.0, "not 0 <= lower <= accuracy <= upper <= 1"),
        ("lower", "Add", 0.5, "not 0 <= lower <= accuracy <= upper <= 1"),
    ],
)
def test_a_predictor_without_a_curve_in_it_is_refused(
    tmp_path: Path, output: str, operation: str, constant: float | list[int], complaint: str
) -> None:
    folder = graphs.artifact(tmp_path / "bad", model=changed(output, operation, constant))
    with pytest.raises(ArtifactError) as refused:
        loaded(folder)
    assert complaint in str(refused.value)
    assert str(folder) in str(refused.value)


def with_card(folder: Path, file: str, **fields: object) -> Path:
    """A copy of a shipped artifact, with other fields in one of its cards."""
    shutil.copytree(ZOO / "cifar10-mini", folder)
    card = json.loads((folder / file).read_text()) | fields
    (folder / file).write_text(json.dumps(card))
    return folder


@pytest.mark.parametrize(
    ("file", "epochs"), [(CONTINUATION_CARD_FILE, 9), (CONTINUATION_CARD_FILE, 20), (CARD_FILE, 9)]
)
def test_a_continuation_of_other_epochs_is_refused(tmp_path: Path, file: str, epochs: int) -> None:
    folder = with_card(tmp_path / "bad", file, epochs=epochs)
    with pytest.raises(ArtifactError, match=f"{epochs} epochs|of {epochs}"):
        loaded(folder)


def test_what_every_shipped_predictor_does_is_tried(tmp_path: Path) -> None:
    assert set(loaded(with_card(tmp_path / "good", CARD_FILE, task="copy"))) == {"copy"}


def test_a_broken_predictor_does_not_replace_one_that_works(tmp_path: Path) -> None:
    """Its file is all right, its answers are not: the reload fails and says why."""
    folder = graphs.artifact(tmp_path / "tiny")
    with running(folder, PEEPHOLE_RELOAD_SECONDS="0.2") as live:

        def reload() -> dict[str, str]:
            found: dict[str, str] = httpx2.get(live.url + "/info").json()["reload"]
            return found

        replace(folder, version="2", model=changed("accuracy", "Add", np.nan))
        assert until(lambda: reload()["state"] == "failed")
        assert "not a finite number" in reload()["error"]
        answer = httpx2.post(live.url + "/predict", json=BODY)
        assert answer.status_code == 200
        assert answer.json()["model"]["version"] == "1"
        live.wait_printed("reload_failed")


def test_what_changes_while_predictors_load_is_noticed(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = graphs.artifact(tmp_path / "own")
    plain = service.load
    changes: list[Callable[[], None]] = [lambda: replace(folder, version="2")]

    def load_slowly(settings: Settings, threads: int, lanes: int) -> Loaded:
        found = plain(settings, threads, lanes)
        while changes:
            changes.pop()()
        return found

    monkeypatch.setattr(service, "load", load_slowly)
    client = serve(models=(folder,), reload_seconds=0.05)
    assert not changes
    assert until(lambda: client.post("/predict", json=BODY).json()["model"]["version"] == "2")


def test_artifacts_whose_names_begin_with_a_dot_are_not_looked_at(serve: Serve, tmp_path: Path) -> None:
    """The next one is copied beside the old one and renamed into place; the old one stays, to go back to."""
    zoo = tmp_path / "zoo"
    graphs.artifact(zoo / "own")
    graphs.artifact(zoo / ".own.new", version="2")
    client = serve(models=(zoo,), reload_seconds=0.05)

    def version() -> str:
        found: str = client.post("/predict", json=BODY).json()["model"]["version"]
        return found

    assert version() == "1"
    (zoo / "own").rename(zoo / ".own.old")
    (zoo / ".own.new").rename(zoo / "own")
    assert until(lambda: version() == "2")
    assert client.get("/info").json()["reload"]["state"] == "ok"
    assert folders([zoo / ".own.old"]) == [zoo / ".own.old"], "named itself, it counts"


def test_an_artifact_that_cannot_be_looked_into_is_not_passed_over(tmp_path: Path) -> None:
    """Or its task would be gone without a word."""
    graphs.artifact(tmp_path / "zoo" / "a")
    (tmp_path / "zoo" / "b").symlink_to("x" * 300)
    with pytest.raises(OSError, match="too long"):
        folders([tmp_path / "zoo"])


def test_other_permissions_are_a_change(tmp_path: Path) -> None:
    """A reload that failed for want of them is tried again."""
    folder = graphs.artifact(tmp_path / "own")
    settings = Settings(models=(folder,))
    before = signature(settings)
    (folder / MODEL_FILE).chmod(0o640)
    assert signature(settings) != before


def test_a_pipe_in_place_of_a_model_does_not_stop_reloading(tmp_path: Path) -> None:
    folder = graphs.artifact(tmp_path / "own")
    (folder / MODEL_FILE).unlink()
    os.mkfifo(folder / MODEL_FILE)
    with pytest.raises(ArtifactError, match="not a regular file"):
        loaded(folder)
