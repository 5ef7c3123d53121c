"""`POST /predict`: responses are the model's, in the order and under the names of the request."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from model.artifact import read_artifact
from model.encoding.layer_code import encode
from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.requests import RELU, metric, network, problem

CONV = {"type": "conv", "kernel_size": 3, "out_channels": 16}


def curve(layers: list[Any], epochs: list[int], tiny: Path, *, clamp: bool = False) -> list[float]:
    """Return the accuracy that the tiny predictor's formula gives."""
    card = read_artifact(tiny).card
    codes = encode(layers, card.layer_code, card.image, clamp=clamp).codes
    return [1 / (1 + math.exp(-graphs.expected_logit(codes, epoch))) for epoch in epochs]


def predict(client: TestClient, *architectures: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = client.post("/predict", json={"architectures": list(architectures), **fields})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_the_response_is_the_models_for_every_epoch(client: TestClient, tiny: Path) -> None:
    """Without `epochs` the whole curve comes back, equal to the formula of the graph."""
    layers: list[Any] = [
        CONV,
        {"type": "batch_norm"},
        RELU,
        {"type": "conv", "kernel_size": (3, 5), "channel_ratio": 1.5},
    ]
    response = predict(client, {"id": "a", "in_channels": 3, "layers": layers})
    assert response["epochs"] == [1, 2, 3, 4, 5]
    (prediction,) = response["predictions"]
    np.testing.assert_allclose(prediction["accuracy"], curve(layers, response["epochs"], tiny), atol=1e-5)
    np.testing.assert_allclose(prediction["lower"], np.array(prediction["accuracy"]) - 0.1, atol=1e-5)
    np.testing.assert_allclose(prediction["upper"], np.array(prediction["accuracy"]) + 0.1, atol=1e-5)
    assert prediction["final_accuracy"] == prediction["accuracy"][-1]
    assert response["model"] == {"task": "tiny", "version": "1", "sha256": read_artifact(tiny).card.sha256}


def test_order_names_and_ranks_of_several_networks(client: TestClient, tiny: Path) -> None:
    """Networks of mixed lengths come back in request order, each with its own curve; equals share a rank."""
    lists = [[CONV, RELU] * n for n in (3, 1, 9, 1, 30)]
    found = predict(client, *({"id": str(i), "layers": layers} for i, layers in enumerate(lists)), epochs=[4, 2])
    assert [prediction["id"] for prediction in found["predictions"]] == list("01234")
    for prediction, layers in zip(found["predictions"], lists, strict=True):
        np.testing.assert_allclose(prediction["accuracy"], curve(layers, [4, 2], tiny), atol=1e-5)
        assert prediction["final_accuracy"] == prediction["accuracy"][0], "final is the largest epoch, here the first"
    assert [prediction["rank"] for prediction in found["predictions"]] == [3, 4, 2, 4, 1]


def test_epochs_may_be_an_integer(client: TestClient) -> None:
    """`4` means `[4]`."""
    one, listed = (predict(client, {"layers": [CONV]}, epochs=epochs) for epochs in (4, [4]))
    assert one["epochs"] == listed["epochs"] == [4]
    assert one["predictions"] == listed["predictions"]
    assert len(one["predictions"][0]["accuracy"]) == 1


def test_missing_ids_are_null(client: TestClient) -> None:
    """A network without a name is answered without one; the order tells which it is."""
    found = predict(client, {"layers": [CONV]}, {"id": "b", "layers": [RELU]}, {"id": None, "layers": [RELU]})
    assert [prediction["id"] for prediction in found["predictions"]] == [None, "b", None]


@pytest.mark.parametrize("name", ["", "\u7f51\u7edc-\U0001f680", "a/b~c", "\u202eabc", "x" * 200, "e\u0301"])
def test_an_id_comes_back_as_it_was_sent(client: TestClient, name: str) -> None:
    (prediction,) = predict(client, {"id": name, "layers": [RELU]})["predictions"]
    assert prediction["id"] == name


@pytest.mark.parametrize("field", ["id", "in_channels", "observed"])
def test_null_means_absent(client: TestClient, field: str) -> None:
    plain, with_null = (predict(client, {"layers": [CONV]} | fields) for fields in ({}, {field: None}))
    assert plain["predictions"] == with_null["predictions"]
    assert predict(client, {"layers": [CONV]}, task=None, epochs=None)["predictions"] == plain["predictions"]


def test_the_distance_tells_what_is_out_of_distribution(client: TestClient) -> None:
    """1.0 is the threshold: beyond it a prediction is not in distribution and carries a note."""
    near, at, far = predict(client, *({"layers": [RELU] * n} for n in (20, 40, 41)))["predictions"]
    assert [near["distance"], at["distance"], far["distance"]] == [0.5, 1.0, 1.025]
    assert [one["in_distribution"] for one in (near, at, far)] == [True, True, False]
    assert near["notes"] == at["notes"] == []
    assert far["notes"] == ["unlike the training set (distance above 1); trust the interval less"]


def test_networks_longer_or_shorter_than_the_training_set_carry_a_note(client: TestClient) -> None:
    (short,) = predict(client, {"layers": [RELU]})["predictions"]
    assert short["notes"] == ["1 layers; the training set has networks of 2 to 60"]


def test_clamp_takes_the_outermost_bin_and_says_so(client: TestClient, tiny: Path) -> None:
    """A ratio outside the table is an error, or with `clamp` the outermost bin and a note."""
    layers: list[Any] = [CONV, RELU, {"type": "conv", "kernel_size": 1, "channel_ratio": 100.0}, RELU]
    for fields in ({}, {"out_of_range": "error"}):
        response = client.post("/predict", json={"architectures": [{"layers": layers}], **fields})
        (fault,) = problem(response, 422)["errors"]
        assert fault["pointer"] == "/architectures/0/layers/2/channel_ratio"
        assert fault["detail"].endswith('"out_of_range": "clamp" takes the nearest one')
    for _ in range(2):
        (prediction,) = predict(client, {"layers": layers}, out_of_range="clamp")["predictions"]
        (note,) = prediction["notes"]
        assert note.startswith("/layers/2/channel_ratio: channel ratio 100 is outside")
        assert note.endswith("took the nearest value of the layer code")
        assert prediction["accuracy"][0] == pytest.approx(curve(layers, [1], tiny, clamp=True)[0], abs=1e-5)
    again = client.post("/predict", json={"architectures": [{"layers": layers}]})
    problem(again, 422)  # what was clamped for one client is still an error for the next


def test_clamping_is_offered_where_it_helps(client: TestClient) -> None:
    """Not for a kernel outside the code, nor to a client that clamps already; both faults are reported at once."""
    layers = [
        CONV,
        {"type": "conv", "kernel_size": 3, "channel_ratio": 65.0},
        {"type": "conv", "kernel_size": 12, "out_channels": 1040},
    ]
    body: dict[str, Any] = {"architectures": [{"layers": layers}]}
    kernel, ratio = problem(client.post("/predict", json=body), 422)["errors"]
    assert (kernel["pointer"], kernel["code"]) == ("/architectures/0/layers/2/kernel_size", "not-in-code")
    assert (ratio["pointer"], ratio["code"]) == ("/architectures/0/layers/1/channel_ratio", "out-of-range")
    assert "clamp" in ratio["detail"]
    assert "clamp" not in kernel["detail"]
    (only,) = problem(client.post("/predict", json=body | {"out_of_range": "clamp"}), 422)["errors"]
    assert only == kernel


@pytest.mark.parametrize(
    ("layer", "where", "says"),
    [
        ({"type": "conv", "kernel_size": 3, "out_channels": 8}, "type", "conv cannot follow linear"),
        ({"type": "max_pool", "kernel_size": 2}, "type", "max_pool cannot follow linear"),
        ({"type": "global_avg_pool"}, "type", "global_avg_pool cannot follow linear"),
    ],
)
def test_a_spatial_layer_behind_linear_is_rejected(
    client: TestClient, layer: dict[str, Any], where: str, says: str
) -> None:
    """The output of a linear layer is flat; that of global_avg_pool is a map of one position."""
    layers = [CONV, {"type": "linear", "out_features": 8}, RELU, layer]
    (fault,) = problem(client.post("/predict", json={"architectures": [{"layers": layers}]}), 422)["errors"]
    assert fault["pointer"] == f"/architectures/0/layers/3/{where}"
    assert says in fault["detail"]
    predict(client, {"layers": [CONV, {"type": "global_avg_pool"}, layer]})


def test_a_pool_that_would_stride_too_far_needs_a_stride(client: TestClient) -> None:
    """Its stride is its kernel when it is left out."""
    pool = {"type": "max_pool", "kernel_size": 9}
    (fault,) = problem(client.post("/predict", json={"architectures": [{"layers": [pool]}]}), 422)["errors"]
    assert fault["pointer"] == "/architectures/0/layers/0/kernel_size"
    assert fault["detail"] == "the stride must be at most 8; a pool without one strides by its kernel"
    predict(client, {"layers": [pool | {"stride": 8}]})


def test_every_loaded_task_is_served_by_name(serve: Serve, tiny: Path, tiny_paper: Path) -> None:
    """With two predictors `task` chooses; without it the error lists them."""
    client = serve(models=(tiny, tiny_paper))
    for task in ("tiny", "tiny-paper"):
        assert predict(client, {"layers": [CONV]}, task=task)["model"]["task"] == task
    document = problem(client.post("/predict", json={"architectures": [{"layers": [CONV]}]}), 422)
    assert document["detail"] == "several predictors are loaded; name one of: tiny, tiny-paper"
    assert document["errors"][0]["pointer"] == "/task"
    body = {"task": "tiny-paper", "architectures": [{"layers": [{"type": "dropout"}]}]}
    (fault,) = problem(client.post("/predict", json=body), 422)["errors"]
    assert "the paper code does not know dropout; it knows conv, max_pool" in fault["detail"]


def test_headers_say_which_request_and_where_the_time_went(client: TestClient) -> None:
    """A client's request id comes back, an unsafe one is replaced; Server-Timing names the stages."""
    body = {"architectures": [{"layers": [CONV]}]}
    response = client.post("/predict", json=body, headers={"X-Request-ID": "run-7.3"})
    assert response.headers["x-request-id"] == "run-7.3" == response.json()["request_id"]
    stages = [part.split(";")[0].strip() for part in response.headers["server-timing"].split(",")]
    assert stages == ["validate", "queue", "infer", "encode"]
    for unsafe in ('evil" id', "x" * 129, "a b", ""):
        replaced = client.post("/predict", json=body, headers={"X-Request-ID": unsafe})
        assert replaced.headers["x-request-id"] != unsafe
        assert len(replaced.headers["x-request-id"]) == 16


def test_large_requests_are_read_in_a_thread_and_answered_alike(client: TestClient) -> None:
    """A body above the inline size gives the same curves as its networks sent alone."""
    networks = [network(n % 7, n) for n in range(2000)]
    together = predict(client, *networks)["predictions"]
    assert [prediction["id"] for prediction in together] == [one["id"] for one in networks]
    for n in (0, 1000, 1999):
        assert predict(client, networks[n])["predictions"][0]["accuracy"] == together[n]["accuracy"]


def test_a_byte_order_mark_is_accepted(client: TestClient) -> None:
    """Editors on Windows write one."""
    content = b'\xef\xbb\xbf{"architectures":[{"layers":[{"type":"relu"}]}]}'
    response = client.post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ('"id":5,"id":"x"', {"id": "x"}),
        ('"in_channels":"3","in_channels":3', {"in_channels": 3}),
        ('"observed":[2],"observed":null', {}),
        ('"layers":5,"layers":[{"type":"tanh"}]', {"layers": [{"type": "tanh"}]}),
        ('"layers":[{"type":"relu","type":"tanh"}]', {"layers": [{"type": "tanh"}]}),
    ],
)
def test_of_a_name_given_twice_the_last_counts(client: TestClient, fields: str, meant: dict[str, Any]) -> None:
    """As with most parsers of JSON, whatever the first held."""
    body = f'{{"architectures":[],"architectures":[{{"layers":[{{"type":"sigmoid"}}],{fields}}}]}}'
    response = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 200, response.text
    assert response.json()["predictions"] == predict(client, {"layers": [{"type": "sigmoid"}]} | meant)["predictions"]


def test_of_a_name_given_twice_the_last_is_the_fault(client: TestClient) -> None:
    body = '{"architectures":[{"layers":[{"type":"relu"}],"id":"x","id":5}]}'
    response = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert problem(response, 422)["detail"] == "/architectures/0/id: must be a string"


def test_networks_are_counted(client: TestClient) -> None:
    """Repeats too; those outside the training distribution in a counter of their own."""
    names = ("predictor_architectures_total", "predictor_unfamiliar_inputs_total")
    before = [metric(client, "predictor_input_layers_count"), metric(client, "predictor_input_layers_sum")]
    predict(client, {"layers": [RELU] * 41}, {"layers": [RELU] * 41}, {"layers": [RELU] * 2})
    assert [metric(client, f'{name}{{task="tiny"}}') for name in names] == [3, 2]
    after = [metric(client, "predictor_input_layers_count"), metric(client, "predictor_input_layers_sum")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [3, 84]
