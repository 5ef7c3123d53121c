"""`predict` answers as POST /predict does, in four forms; `encode` prints what the predictor reads."""

import csv
import io
import json

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import save

from cli.options import TASKS
from model.network.schema import MAX_ARCHITECTURES
from service.app import create_app
from service.settings import Settings

TASK, OTHER = "mnist-mini", "metaqnn-svhn"
RELU, CONV = {"type": "relu"}, {"type": "conv", "kernel_size": 3, "out_channels": 8}
STEEP = {"layers": [CONV, {"type": "conv", "kernel_size": 3, "channel_ratio": 900.0}]}


def body(*networks, **changes):
    return json.dumps({"architectures": list(networks or [{"layers": [CONV, RELU]}])} | changes)


@pytest.fixture(scope="module")
def client():
    """The service, with the predictor of the task alone."""
    settings = Settings(models=(TASKS[TASK],), shipped=False, provider="cpu", threads=1)
    with TestClient(create_app(settings)) as client:
        while client.get("/readyz").status_code != 200:
            pass
        yield client


@pytest.fixture
def sampled(peephole):
    return peephole("sample", "--protocol", TASK, "-n", "4").out


def posted(client, content):
    response = client.post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 200, response.text
    return {name: value for name, value in response.json().items() if name != "request_id"}


def close(one, other):
    """Whether documents are equal but for the sixth decimal, which a batch's other networks may change."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return one == pytest.approx(other, abs=2e-6) if isinstance(one, float) else one == other


def test_json_is_the_document_of_post_predict(peephole, sampled, client):
    document = json.loads(peephole("predict", "-", "--json", stdin=sampled).out)
    assert len({one["final_accuracy"] for one in document["predictions"]}) > 1
    assert close(document, posted(client, sampled))


@pytest.mark.parametrize("epochs", [10, [7, 2], None])
def test_observed_curves_are_continued_as_by_the_service(epochs, peephole, client):
    networks = [{"id": "a", "layers": [CONV, RELU]}, {"id": "b", "layers": [CONV], "observed": [0.3, 0.5]}]
    content = body(*networks, {"layers": [RELU] * 3, "observed": [0.1] * 10}, task=TASK, epochs=epochs)
    document = json.loads(peephole("predict", "-", "--json", stdin=content).out)
    assert document["epochs"] == ([10] if epochs == 10 else epochs or list(range(1, 11)))
    assert close(document, posted(client, content))
    plain = json.loads(peephole("predict", "-", "--json", stdin=body(*networks[:1], task=TASK, epochs=epochs)).out)
    assert close(plain["predictions"][0]["accuracy"], document["predictions"][0]["accuracy"])


def test_observed_is_rejected_where_curves_cannot_be_continued(rejected, tmp_path):
    for name in ("card.json", "members.onnx", "arrays.npz"):
        (tmp_path / name).write_bytes((TASKS[TASK] / name).read_bytes())
    content = body({"layers": [RELU], "observed": [0.5]})
    found = rejected("predict", "-", "--artifact", tmp_path, stdin=content)
    assert found.startswith("-: /architectures/0/observed: task mnist-mini cannot continue curves; fit that with `peep")


def test_networks_far_from_those_fitted_to_are_noted(peephole, client):
    content = body(STEEP, task=TASK)
    document = json.loads(peephole("predict", "-", "--json", stdin=content).out)
    assert close(document, posted(client, content))
    (one,) = document["predictions"]
    assert any("unlike the training set" in note for note in one["notes"])
    assert (one["in_distribution"], one["distance"] > 1) == (False, True)


def test_networks_of_all_lengths_are_predicted_each_in_its_place(peephole):
    """More than a batch, in an order that is not that of their lengths."""
    networks = [{"id": f"n{index}", "layers": [CONV] + [RELU] * (index * 7 % 41)} for index in range(300)]
    found = json.loads(peephole("predict", "-", "--json", stdin=body(*networks, task=TASK, epochs=10)).out)
    for index in (0, 1, 40, 299):
        alone = json.loads(peephole("predict", "-", "--json", stdin=body(networks[index], task=TASK, epochs=10)).out)
        assert found["predictions"][index]["id"] == f"n{index}"
        assert close(found["predictions"][index]["accuracy"], alone["predictions"][0]["accuracy"])


def test_a_file_may_hold_more_networks_than_a_request(peephole):
    lines = "\n".join([json.dumps({"layers": [CONV, RELU]})] * (MAX_ARCHITECTURES + 1))
    found = peephole("predict", "-", "--task", TASK, "--csv", stdin=lines)
    assert found.out.count("\n") == MAX_ARCHITECTURES + 2, found.err


def test_jsonl_has_a_network_a_line(peephole, sampled):
    document = json.loads(peephole("predict", "-", "--json", stdin=sampled).out)
    found = peephole("predict", "-", "--jsonl", stdin=sampled).out
    assert [json.loads(line) for line in found.splitlines()] == document["predictions"]


def test_csv_has_a_network_a_row(peephole):
    content = body({"id": "a,b", "layers": [CONV] * 20}, {"layers": [RELU]}, task=TASK, epochs=[9, 2])
    document = json.loads(peephole("predict", "-", "--json", stdin=content).out)
    rows = list(csv.DictReader(io.StringIO(peephole("predict", "-", "--csv", stdin=content).out)))
    assert [row["id"] for row in rows] == ["a,b", "1"]
    for row, one in zip(rows, document["predictions"], strict=True):
        assert float(row["final_accuracy"]) == one["final_accuracy"] == float(row["epoch_9"])
        assert float(row["epoch_2"]) == one["accuracy"][1]
        assert (float(row["lower"]), float(row["upper"])) == (one["lower"][0], one["upper"][0])
        assert row["in_distribution"] == str(one["in_distribution"]).lower()
        assert row["notes"] == "; ".join(one["notes"])


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_a_file_is_written_as_its_ending_says(form, peephole, sampled, tmp_path):
    printed = peephole("predict", "-", f"--{form}", stdin=sampled).out
    for arguments in (("--out", tmp_path / f"x.{form}"), ("--out", tmp_path / "x", f"--{form}")):
        assert peephole("predict", "-", *arguments, stdin=sampled).out == ""
        assert arguments[1].read_text() == printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--json", "--csv"), "--json and --csv exclude each other"),
        (("--out", "x.txt"), "give --json, --jsonl or --csv, or a name that ends so"),
    ],
)
def test_forms_that_contradict_are_usage_errors(options, message, peephole, sampled, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    found = peephole("predict", "-", *options, stdin=sampled)
    assert found.status == 2
    assert message in found.err


def test_the_table_has_the_best_first_and_whole_names(peephole, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    long = "evolved-in-distribution-" * 8
    content = body({"id": long, "layers": [CONV]}, {"layers": [CONV, {"type": "batch_norm"}, RELU] * 6}, task=TASK)
    rows = peephole("predict", "-", stdin=content).out.splitlines()
    assert rows[0].startswith("mnist-mini: accuracy after 10 epochs")
    heading, first, second = rows[2], *(row for row in rows[4:] if row.strip())
    assert heading.split() == ["rank", "id", "accuracy", "90%", "interval", "distance", "params", "MFLOPs", "notes"]
    assert first.split()[0] == "1"
    assert second.split()[0] == "2"
    assert {first.split()[1], second.split()[1]} == {long, "1"}
    assert float(first.split()[2]) >= float(second.split()[2])


def test_equal_networks_share_the_better_rank(peephole):
    deep = [CONV, RELU] * 4
    found = peephole("predict", "-", "--task", TASK, "--json", stdin=json.dumps([deep, [CONV, RELU], deep]))
    first, other, again = (one["rank"] for one in json.loads(found.out)["predictions"])
    assert first == again
    assert {first, other} in ({1, 3}, {1, 2})


def task_of(found):
    return json.loads(found.out)["model"]["task"]


def test_the_task_of_a_body_chooses_the_predictor(peephole):
    for options in ((), ("--task", OTHER), ("--artifact", TASKS[OTHER]), ("--task", OTHER, "--artifact", TASKS[OTHER])):
        assert task_of(peephole("predict", "-", "--json", *options, stdin=body(task=OTHER))) == OTHER


def test_a_contradiction_about_the_task_is_rejected(rejected, peephole, monkeypatch):
    contradiction = f"-: /task: is {OTHER!r}, but the options choose {TASK!r}"
    for options in (("--task", TASK), ("--artifact", TASKS[TASK])):
        assert rejected("predict", "-", *options, stdin=body(task=OTHER)) == contradiction
    assert rejected("predict", "-", stdin=body(task="none")) == f"-: /task: must be one of: {', '.join(TASKS)}"
    monkeypatch.setenv("COLUMNS", "300")
    found = peephole("predict", "-", "--task", OTHER, "--artifact", TASKS[TASK], stdin=body())
    assert (found.status, f"is {OTHER!r}, but {TASKS[TASK]} predicts {TASK!r}" in found.err) == (2, True)


@pytest.fixture
def weights(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"layer0.weight": (8, 1, 3, 3), "layer0.bias": (8,), "head.weight": (10, 8), "head.bias": (10,)}
    file = tmp_path / "network.safetensors"
    file.write_bytes(save({name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}))
    return file


def test_predict_weights_answers_as_the_service(peephole, client, weights):
    found = json.loads(peephole("predict-weights", weights, "--task", TASK, "--json").out)
    headers = {"Content-Type": "application/octet-stream"}
    response = client.post("/predict-weights", content=weights.read_bytes(), headers=headers).json()
    assert found == {name: value for name, value in response.items() if name != "request_id"}
    said = peephole("predict-weights", weights, "--artifact", TASKS[TASK]).out
    assert said.startswith(f"mnist-mini: accuracy {found['accuracy']:.4f} (90% interval {found['lower']:.4f} to ")


def test_predict_weights_says_which_predictors_can(peephole, rejected, weights):
    said = (
        f"{TASKS[OTHER]} reads no weights (those of cifar10-mini, mnist-mini do); fit that with `peephole fit-weights`"
    )
    assert rejected("predict-weights", weights, "--task", OTHER) == said
    assert rejected("predict-weights", weights, "--artifact", TASKS[OTHER]) == said
    assert peephole("predict-weights", weights).status == 2


def test_files_without_weights_are_named(rejected, tmp_path):
    file = tmp_path / "model.pt"
    file.write_bytes(b"\x80\x02}q\x00.")
    found = rejected("predict-weights", file, "--task", TASK)
    assert found.startswith(f"{file}: not a safetensors file, or a truncated one; a PyTorch model's: safetensors.torch")
    (tmp_path / "odd.safetensors").write_bytes(save({"positions": np.arange(9, dtype=np.float32)}))
    assert rejected("predict-weights", tmp_path / "odd.safetensors", "--task", TASK).startswith(
        f"{tmp_path / 'odd.safetensors'}: "
    )


def test_ranks_follow_the_options(peephole):
    """By the lower end of the interval; an option counts more than the file."""
    networks = [{"id": "deep", "layers": [CONV, RELU] * 8}, {"id": "flat", "layers": [RELU]}]
    content = body(*networks, task=TASK, epochs=10, rank_by="upper")
    found = {
        end: json.loads(peephole("predict", "-", "--json", *options, stdin=content).out)["predictions"]
        for end, options in (("upper", ()), ("lower", ("--rank-by", "lower", "--out-of-distribution", "keep")))
    }
    for end, predictions in found.items():
        best = max(predictions, key=lambda one: one[end])
        assert [one["rank"] for one in predictions] == [1 if one is best else 2 for one in predictions]


@pytest.fixture
def measured(tmp_path):
    """A table of twelve networks, wider ones better."""
    rows = [
        {"layers": [CONV | {"out_channels": 4 * width}, RELU], "accuracy": [0.2, 0.3 + width / 30]}
        | {"task": "mine", "in_channels": 1, "resolution": 16}
        for width in range(1, 13)
    ]
    table = tmp_path / "measured.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return table, rows


def test_a_table_is_the_context_of_predictions_as_post_predict_gives_them(peephole, client, measured, sampled):
    table, rows = measured
    found = json.loads(peephole("predict", "-", "--context", table, "--prior", TASK, "--json", stdin=sampled).out)
    context = [{"layers": row["layers"], "accuracy": row["accuracy"]} for row in rows]
    request = {"architectures": json.loads(sampled)["architectures"], "context": context, "prior": TASK}
    assert close(found, posted(client, json.dumps(request | {"input": [1, 16, 16]})))
    printed = peephole("predict", "-", "--context", table, "--prior", "none", stdin=sampled).out
    assert "12 networks on top of no other task" in " ".join(printed.split())


def test_a_table_of_two_networks_is_no_context(peephole, measured, sampled):
    table, rows = measured
    table.write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    failed = peephole("predict", "-", "--context", table, stdin=sampled)
    assert failed.status == 1
    assert "2 measured networks; predictions need 3" in failed.err


def test_a_context_excludes_a_task(peephole, measured, sampled):
    failed = peephole("predict", "-", "--context", measured[0], "--task", TASK, stdin=sampled)
    assert failed.status == 2
    assert "leave out --task" in failed.err
