"""`POST /predict`: answers are the model's, in the order and under the names of the request."""

import math

import numpy as np
import pytest
from starlette.testclient import TestClient

from model.artifact import read_artifact
from model.encoding.layer_code import encode_architecture
from model.network.schema import Architecture
from service.examples import predict_examples
from tests.service import graphs
from tests.service.conftest import Serve

CONV = {"type": "conv", "kernel_size": 3, "out_channels": 16}
RELU = {"type": "relu"}


def curve(layers: list[dict], epochs: list[int], tiny) -> list[float]:
    """The accuracy that the tiny predictor's formula gives."""
    card = read_artifact(tiny).card
    codes = encode_architecture(Architecture.model_validate({"layers": layers}), card.layer_code, card.image).codes
    return [1 / (1 + math.exp(-graphs.expected_logit(codes, epoch))) for epoch in epochs]


def ask(client: TestClient, architectures: list[dict], **options) -> dict:
    response = client.post("/predict", json={"architectures": architectures, **options})
    assert response.status_code == 200, response.text
    return response.json()


def test_answer_is_the_models_for_every_epoch(client: TestClient, tiny) -> None:
    """Without `epochs` the whole curve comes back, equal to the formula of the graph."""
    layers = [CONV, {"type": "batch_norm"}, RELU, {"type": "conv", "kernel_size": [3, 5], "channel_ratio": 1.5}]
    answer = ask(client, [{"id": "a", "in_channels": 3, "layers": layers}])
    assert answer["epochs"] == [1, 2, 3, 4, 5]
    (prediction,) = answer["predictions"]
    np.testing.assert_allclose(prediction["accuracy"], curve(layers, answer["epochs"], tiny), atol=1e-5)
    np.testing.assert_allclose(prediction["lower"], np.array(prediction["accuracy"]) - 0.1, atol=1e-5)
    assert prediction["final_accuracy"] == prediction["accuracy"][-1]
    assert answer["model"] == {"task": "tiny", "version": "1", "sha256": read_artifact(tiny).card.sha256}


def test_order_names_and_ranks_of_a_population(client: TestClient, tiny) -> None:
    """Networks of mixed lengths come back in request order, each with its own curve; equals share a rank."""
    lists = [[CONV, RELU] * n for n in (3, 1, 9, 1, 30)]
    answer = ask(client, [{"id": str(i), "layers": layers} for i, layers in enumerate(lists)], epochs=[4, 2])
    assert [p["id"] for p in answer["predictions"]] == list("01234")
    for prediction, layers in zip(answer["predictions"], lists, strict=True):
        np.testing.assert_allclose(prediction["accuracy"], curve(layers, [4, 2], tiny), atol=1e-5)
        assert prediction["final_accuracy"] == prediction["accuracy"][0], "final is the largest epoch, here the first"
    assert [p["rank"] for p in answer["predictions"]] == [3, 4, 2, 4, 1]


def test_missing_ids_are_null(client: TestClient) -> None:
    """A network without a name is answered without one; the order tells which it is."""
    answer = ask(client, [{"layers": [CONV]}, {"id": "b", "layers": [RELU]}, {"layers": [RELU]}])
    assert [p["id"] for p in answer["predictions"]] == [None, "b", None]


def test_unfamiliar_networks_are_said_to_be(client: TestClient) -> None:
    """Beyond the card's distance threshold a prediction is not in distribution and carries a note."""
    near, far = ask(client, [{"layers": [RELU] * 40}, {"layers": [RELU] * 41}])["predictions"]
    assert near["in_distribution"]
    assert not near["notes"]
    assert not far["in_distribution"]
    assert "unlike" in far["notes"][0]


def test_clamp_takes_the_outermost_bin_and_says_so(client: TestClient, tiny) -> None:
    """A ratio outside the table is an error, or with `clamp` the outermost bin and a note."""
    layers = [CONV, RELU, {"type": "conv", "kernel_size": 1, "channel_ratio": 100.0}, RELU]
    refused = client.post("/predict", json={"architectures": [{"layers": layers}]})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/architectures/0/layers/2/channel_ratio"
    (prediction,) = ask(client, [{"layers": layers}], out_of_range="clamp")["predictions"]
    assert prediction["notes"][0].startswith("/layers/2/channel_ratio: ")
    card = read_artifact(tiny).card
    architecture = Architecture.model_validate({"layers": layers})
    codes = encode_architecture(architecture, card.layer_code, card.image, clamp=True).codes
    assert prediction["accuracy"][0] == pytest.approx(1 / (1 + math.exp(-graphs.expected_logit(codes, 1))), abs=1e-5)
    again = client.post("/predict", json={"architectures": [{"layers": layers}]})
    assert again.status_code == 422, "what was clamped for one caller is still an error for the next"


def test_codes_answer_like_the_layers_they_stand_for(client: TestClient, tiny) -> None:
    """The compact form gives the same curve as the layer objects."""
    layers = [CONV, RELU, {"type": "max_pool", "kernel_size": 2}, {"type": "dropout", "p": 0.3}]
    card = read_artifact(tiny).card
    codes = encode_architecture(Architecture.model_validate({"layers": layers}), card.layer_code, card.image).codes
    plain, coded = ask(client, [{"layers": layers}, {"codes": codes.tolist()}])["predictions"]
    assert plain["accuracy"] == coded["accuracy"]


def test_every_loaded_task_is_served_by_name(serve: Serve, tiny, tiny_paper) -> None:
    """With two predictors `task` chooses; without it the error lists them."""
    client = serve(models=(tiny, tiny_paper))
    for task in ("tiny", "tiny-paper"):
        assert ask(client, [{"layers": [CONV]}], task=task)["model"]["task"] == task
    missing = client.post("/predict", json={"architectures": [{"layers": [CONV]}]})
    assert missing.status_code == 422
    assert "tiny, tiny-paper" in missing.json()["detail"]
    paper = client.post("/predict", json={"task": "tiny-paper", "architectures": [{"layers": [{"type": "dropout"}]}]})
    assert "it knows conv, max_pool" in paper.json()["errors"][0]["detail"]


@pytest.mark.parametrize("name", predict_examples("tiny"))
def test_worked_examples_of_the_docs_work(client: TestClient, name: str) -> None:
    """Each example in `/docs` is answered with 200."""
    example = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    body = example["content"]["application/json"]["examples"][name]["value"]
    assert client.post("/predict", json=body).status_code == 200


def test_headers_say_which_request_and_where_the_time_went(client: TestClient) -> None:
    """A caller's request id comes back, an unsafe one is replaced; Server-Timing names the stages."""
    body = {"architectures": [{"layers": [CONV]}]}
    response = client.post("/predict", json=body, headers={"X-Request-ID": "run-7.3"})
    assert response.headers["x-request-id"] == "run-7.3" == response.json()["request_id"]
    stages = [part.split(";")[0].strip() for part in response.headers["server-timing"].split(",")]
    assert {"validate", "infer", "encode"} <= set(stages)
    replaced = client.post("/predict", json=body, headers={"X-Request-ID": 'evil" id'})
    assert replaced.headers["x-request-id"] != 'evil" id'


def test_large_requests_are_read_aside_and_answered_alike(client: TestClient, tiny) -> None:
    """A body above the inline size gives the same curves as its networks sent alone."""
    lists = [[CONV] + [RELU] * (n % 7) + [{"type": "dropout", "p": 0.1 + n / 1000}] for n in range(300)]
    together = ask(client, [{"id": str(n), "layers": layers} for n, layers in enumerate(lists)])["predictions"]
    for n in (0, 150, 299):
        assert ask(client, [{"layers": lists[n]}])["predictions"][0]["accuracy"] == together[n]["accuracy"]
