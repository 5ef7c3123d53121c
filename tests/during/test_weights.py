"""Accuracy read off weights: features, files, the command and the route, with real networks' statistics."""

import gzip
import json
import shutil
import warnings
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import sleep

import numpy as np
import pytest
import torch
import typer
from safetensors.numpy import save
from safetensors.torch import save as torch_save
from safetensors.torch import save_file
from starlette.testclient import TestClient
from typer.testing import CliRunner

from cli import weights as command
from model.artifact import shipped as artifacts
from model.networks.floor import Floor
from model.weights import (
    MOST_TENSORS,
    WEIGHTS_FILE,
    WeightsError,
    WeightsPredictor,
    over_floor,
    read_weights,
    read_weights_predictor,
)
from service.app import create_app
from service.settings import Settings
from tests.service import graphs
from training.cnn import build
from training.collect import population
from training.during.fit_weights import by_reader, cross_validated, fit_weights, members_to_fit, read_table
from training.during.weights_members import WeightsRecipe, fit_reader
from training.during.weights_table import tabulate_weights
from training.metrics import tau
from training.observations import Observation, ObservationError
from training.protocols import PROTOCOLS

SLICE = Path(__file__).parent / "data" / "mnist-mini.jsonl.gz"
QUICK = WeightsRecipe(members=2, passes=30, pretraining_passes=10)
BINARY = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="session")
def rows() -> list[Observation]:
    """60 networks of mnist-mini that were really trained, with the statistics of their weights."""
    return [Observation.model_validate_json(line) for line in gzip.decompress(SLICE.read_bytes()).splitlines()]


@pytest.fixture(scope="session")
def able(tmp_path_factory: pytest.TempPathFactory, rows: list[Observation]) -> Path:
    folder = graphs.artifact(tmp_path_factory.mktemp("able"))
    fit_weights(folder, "tiny", rows, recipe=QUICK)
    return folder


@pytest.fixture(scope="session")
def predictor(able: Path) -> WeightsPredictor:
    loaded = read_weights_predictor(able)
    assert loaded is not None
    return loaded


@pytest.fixture
def client(able: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(models=(able,), shipped=False, threads=1))) as client:
        while client.get("/readyz").status_code != 200 and client.get("/livez").status_code == 200:
            sleep(0.01)
        yield client


def network(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {
        "layer0.weight": (8, 1, 3, 3),
        "layer0.bias": (8,),
        "layer3.weight": (16, 8, 3, 3),
        "head.weight": (10, 16),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_half_and_double_precision_are_read(kind: torch.dtype, predictor: WeightsPredictor) -> None:
    tensors = {name: torch.from_numpy(values) for name, values in network().items()}
    expected = predictor.predict(read_weights(torch_save(tensors)))
    got = predictor.predict(read_weights(torch_save({name: tensor.to(kind) for name, tensor in tensors.items()})))
    assert got.accuracy == pytest.approx(expected.accuracy, abs=0.05)


def test_a_precision_that_numpy_lacks_is_named() -> None:
    with pytest.raises(WeightsError, match="type that is not supported: BF16"):
        read_weights(torch_save({"layer0.weight": torch.ones(3, dtype=torch.bfloat16)}))


def test_weights_tell_good_networks_from_bad(rows: list[Observation]) -> None:
    """Networks never seen, 60 real ones: the ranking is far from chance, with final weights and after a quarter."""
    for moment in ("final", "quarter"):
        table = tabulate_weights(rows, moment)
        assert tau(table.final, cross_validated(table, by_reader(QUICK)).predicted) > 0.4


def test_another_task_is_learnt_from_first_but_for_the_architectures_that_are_asked_for(
    rows: list[Observation], tmp_path: Path
) -> None:
    """Its labels reach what is read; those of a network that is predicted do not."""
    table = tabulate_weights(rows, "final")
    first, second = table.only(np.arange(40)), table.only(np.arange(40, len(table.final)))
    right = table.without(first)
    wrong = replace(right, final=1 - right.final)
    ways = [read_table(fit_reader(first, related=[one], recipe=QUICK), second) for one in (right, wrong)]
    assert np.abs(ways[0] - second.final).mean() < np.abs(ways[1] - second.final).mean()
    seen: list[int] = []

    def fit(training, others):  # type: ignore[no-untyped-def]
        def reads(asked):  # type: ignore[no-untyped-def]
            assert not set(asked.groups) & {*training.groups, *others[0].groups}
            seen.append(len(asked.final))
            return np.full(len(asked.final), 0.5)

        return reads

    cross_validated(table, fit, [table])
    assert sum(seen) == len(table.final)
    steps: list[None] = []
    card = fit_weights(tmp_path, "tiny", rows, related=[rows], recipe=QUICK, on_member=lambda: steps.append(None))
    assert card.training["pretrained_on"] == [{"task": rows[0].task, "rows": len(table.final)}]
    assert len(steps) == members_to_fit(QUICK)


def test_an_answer_does_not_depend_on_those_beside_it(predictor: WeightsPredictor, rows: list[Observation]) -> None:
    table = tabulate_weights(rows, "final")
    together = predictor.accuracies(table.layers, table.summary)
    alone = [predictor.accuracies([layers], row[None]) for layers, row in zip(table.layers, table.summary, strict=True)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)


def test_networks_that_learnt_nothing_are_met_exactly(predictor: WeightsPredictor) -> None:
    """What is read below the card's threshold becomes its level, inside the interval, as torch would have it."""
    weights, asked = read_weights(save(network())), copy(predictor)
    asked.card = predictor.card.model_copy(update={"floor": None})
    read = asked.predict(weights).accuracy
    asked.card = card = predictor.card.model_copy(update={"floor": (0.8 * read, read + 0.01)})
    found = asked.predict(weights)
    assert found.accuracy == pytest.approx(0.8 * read)
    assert found.lower <= found.accuracy < read <= found.upper
    some = np.linspace(0, 1, 101)
    expected = Floor(*(np.array([one]) for one in card.floor))(torch.from_numpy(some[:, None]), torch.tensor([0]))
    np.testing.assert_allclose(over_floor(some, card.floor), expected[:, 0].numpy(), atol=1e-7)


def test_what_ships_reads_a_file() -> None:
    """Both mini tasks; real networks as drawn, before any training, are read as the chance that they are at."""
    shipped = {p.card.task: p for p in map(read_weights_predictor, artifacts()) if p is not None}
    assert set(shipped) == {"mnist-mini", "cifar10-mini"}
    for task, reader in shipped.items():
        protocol = PROTOCOLS[task]
        for _, layers in islice(population(protocol), 6):
            module = build(layers, protocol.image, protocol.classes)
            assert reader.predict(read_weights(torch_save(dict(module.named_parameters())))).accuracy < 0.2


def test_too_few_rows_are_refused(rows: list[Observation]) -> None:
    with pytest.raises(ObservationError, match="least"):
        tabulate_weights(rows[:5], "final")


def test_the_card_says_how_good_it_is(predictor: WeightsPredictor) -> None:
    metrics = predictor.card.metrics
    assert metrics["onnx_difference"] <= 1e-5
    assert {"tau", "r2", "mae"} <= set(metrics["cross_validation"])
    assert predictor.card.training["recipe"]["members"] == QUICK.members


def test_the_route_and_the_command_agree(
    client: TestClient, able: Path, tmp_path: Path, predictor: WeightsPredictor
) -> None:
    """The same file over HTTP, on the command line and in process."""
    content = save(network())
    answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 200
    expected = predictor.predict(read_weights(content))
    assert answer.json()["accuracy"] == pytest.approx(expected.accuracy, abs=1e-6)
    assert answer.json()["lower"] <= answer.json()["accuracy"] <= answer.json()["upper"]
    (tmp_path / "network.safetensors").write_bytes(content)
    cli = typer.Typer()
    command.register(cli)
    result = CliRunner().invoke(cli, [str(tmp_path / "network.safetensors"), "--artifact", str(able)])
    assert result.exit_code == 0, result.output
    assert f"accuracy {expected.accuracy:.4f}" in result.output


def test_a_file_written_by_torch_is_read(tmp_path: Path, predictor: WeightsPredictor) -> None:
    save_file({name: torch.from_numpy(values) for name, values in network().items()}, tmp_path / "n.safetensors")
    got = predictor.predict(read_weights((tmp_path / "n.safetensors").read_bytes()))
    assert 0 <= got.lower <= got.accuracy <= got.upper <= 1


def file_of(header: dict[str, object], data: bytes = b"") -> bytes:
    """A safetensors file with this header, whatever it says."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


MALFORMED = {
    "empty": b"",
    "noise": b"\x93" * 500,
    "a header that lies": (2**62).to_bytes(8, "little") + b"{}",
    "truncated": save(network())[:-100],
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "not finite": save({"layer0.weight": np.array([1.0, np.nan], dtype=np.float32)}),
    "absurd": save({"layer0.weight": np.array([1e160, -1e200])}),
    "no elements": save({"layer0.weight": np.zeros((0, 3), dtype=np.float32)}),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_files_are_refused(client: TestClient, content: bytes) -> None:
    with pytest.raises(WeightsError):
        read_weights(content)
    answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_too_many_tensors_are_refused_before_they_are_parsed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsing lets no other thread of the process go on meanwhile."""
    monkeypatch.setattr("model.weights.load", lambda _: pytest.fail("it was parsed"))
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    content = file_of({f"layer{number}.weight": empty for number in range(MOST_TENSORS + 1)})
    answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 400
    assert answer.json()["detail"] == f"{MOST_TENSORS + 1} tensors; {MOST_TENSORS} is the most"


def test_weights_wait_for_no_queue_and_read_in_nobodys_place(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.admission._check_room", lambda *_: pytest.fail("of the queue"))
    service = client.app.state.service  # type: ignore[attr-defined]
    for threads in (service.readers, service.large_reader):
        monkeypatch.setattr(threads, "submit", lambda *_: pytest.fail("others read there"))
    assert client.post("/predict-weights", content=save(network()), headers=BINARY).status_code == 200


@pytest.mark.parametrize(
    "content",
    [save({"x": np.ones(3, dtype=np.float32)}), file_of({}), file_of({"__metadata__": {"format": "pt"}})],
    ids=["another tensor", "no tensors", "metadata alone"],
)
def test_a_file_without_weights_is_refused(client: TestClient, content: bytes) -> None:
    answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 422
    assert "weight" in answer.json()["detail"]


@pytest.mark.parametrize("shape", [[1] * 70, [0, 2**40, 2**40]], ids=["many dimensions", "large dimensions"])
def test_a_shape_that_numpy_lacks_is_not_blamed_on_the_type(client: TestClient, shape: list[int]) -> None:
    data = b"\0" * 4 * (0 not in shape)
    content = file_of({"a.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, len(data)]}}, data)
    answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 400
    assert "dimensions" in answer.json()["detail"]


@pytest.mark.parametrize("layer", ["1\u00b22", "9" * 5000], ids=["superscript", "many digits"])
def test_no_number_in_a_name_is_too_strange(client: TestClient, layer: str) -> None:
    tensors = {f"{layer}.weight": network()["layer0.weight"], "head.weight": network()["head.weight"]}
    answer = client.post("/predict-weights", content=save(tensors), headers=BINARY)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("values", [1e38 * np.tanh(network()["layer3.weight"]), np.full((1, 5000), 3e30)])
def test_values_whose_statistics_overflow_are_refused(client: TestClient, values: np.ndarray) -> None:
    """Each is within the limit; in units of the initial deviation, or beside no deviation at all, they are not."""
    content = save({"layer0.weight": values.astype(np.float32)})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 400
    assert "so large" in answer.json()["detail"]


def test_the_size_is_limited(able: Path) -> None:
    """One byte over the limit is refused, the limit itself is read."""
    content = save(network())
    settings = Settings(models=(able,), shipped=False, threads=1, max_body_bytes=len(content))
    with TestClient(create_app(settings)) as client:
        while client.get("/readyz").status_code != 200:
            sleep(0.01)
        assert client.post("/predict-weights", content=content, headers=BINARY).status_code == 200
        assert client.post("/predict-weights", content=content + b" ", headers=BINARY).status_code == 413


def test_the_log_has_the_size_of_a_file(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that is refused as well."""
    lines: list[dict[str, object]] = []
    monkeypatch.setattr("service.edge.log.info", lambda _, **line: lines.append(line))
    content = save(network())
    for sent in (content, content[:-1]):
        client.post("/predict-weights", content=sent, headers=BINARY)
    client.app.state.service.ledger.write_up()  # type: ignore[attr-defined]
    sizes = [(line["status"], line["bytes_in"], line.get("networks")) for line in lines if "bytes_in" in line]
    assert sizes == [(200, len(content), 1), (400, len(content) - 1, None)]


def test_other_bodies_and_tasks_are_refused(client: TestClient) -> None:
    content = save(network())
    assert client.post("/predict-weights", json={}).status_code == 415
    answer = client.post("/predict-weights?task=other", content=content, headers=BINARY)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/task"


def test_a_changed_graph_is_refused(able: Path, tmp_path: Path) -> None:
    shutil.copytree(able, tmp_path / "copy")
    (tmp_path / "copy" / WEIGHTS_FILE).write_bytes(b"not this")
    with pytest.raises(ValueError, match="sha256"):
        read_weights_predictor(tmp_path / "copy")
