"""What errors say: what to do about it, in the service's own words. Faults of layers: tests/model/network."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from model.network.schema import FIELDS
from tests.service.api.conftest import EPOCHS
from tests.service.conftest import Serve
from tests.service.requests import RELU, problem

CONV = {"type": "conv", "kernel_size": 3, "out_channels": 16}
LISTED = "must be an integer of at least 1, or a list of such integers"
OF_REQUEST = (
    "the fields are: architectures, task, version, epochs, input, constraints, objectives, rank_by, "
    "out_of_distribution, proxies, context, prior"
)
MERGES = "merges two or more layers: give their names"
OF_NETWORK = "the fields are: layers, id, in_channels, observed, costs, proxies"
OF_EACH = "describes one run: move it into each of `architectures`, or leave `architectures` out"


def of(**fields: Any) -> dict[str, Any]:
    """Return a request for one network with these fields."""
    return {"architectures": [{"layers": [RELU]} | fields]}


FIRST = "/architectures/0"
MESSAGES: list[tuple[str, Any, str, str]] = [
    ("/predict", [1, 2], "", "the JSON value must be an object"),
    ("/predict", {}, "/architectures", "`architectures` is missing: a list of networks, each an object with `layers`"),
    ("/predict", {"architectures": {"layers": [RELU]}}, "/architectures", "must be a list"),
    ("/predict", {"architectures": []}, "/architectures", "must hold at least one element"),
    ("/predict", {"architectures": [[RELU]]}, FIRST, "must be an object"),
    ("/predict", of(layers=[]), FIRST + "/layers", "must hold at least one element"),
    ("/predict", of(layers=5), FIRST + "/layers", "must be a list"),
    ("/predict", of(layers=[5]), FIRST + "/layers/0", "a layer is an object with a `type`"),
    ("/predict", of(layers=[{}]), FIRST + "/layers/0/type", "`type` is missing"),
    (
        "/predict",
        of(layers=[{"type": "Conv2d"}]),
        FIRST + "/layers/0/type",
        f"did you mean `conv`? The types are: {', '.join(FIELDS)}",
    ),
    (
        "/predict",
        of(layers=[CONV | {"groups": 8}]),
        FIRST + "/layers/0/groups",
        "must divide the 3 input channels",
    ),
    (
        "/predict",
        of(layers=[CONV | {"dilations": 2}]),
        FIRST + "/layers/0/dilations",
        "unknown field; write dilation; the fields of conv are: "
        "kernel_size, out_channels, channel_ratio, stride, groups, dilation, padding, bias, name, inputs",
    ),
    (
        "/predict",
        of(layers=[CONV | {"kernel_size": [3]}]),
        FIRST + "/layers/0/kernel_size",
        "must be an integer from 1 to 1024, or a list of two of them: [height, width]",
    ),
    (
        "/predict",
        of(layers=[CONV | {"kernel_size": 40, "padding": 0}]),
        FIRST + "/layers/0/kernel_size",
        "spans 40 positions, but its padded input has 16",
    ),
    ("/predict", of(layers=[RELU, {"type": "add"}]), FIRST + "/layers/1/inputs", f"add {MERGES}"),
    ("/predict", of(codes=[]), FIRST + "/codes", f"unknown field; {OF_NETWORK}"),
    ("/predict", of(**{"a b": 1}), FIRST, f"has an unknown field; {OF_NETWORK}"),
    ("/predict", of() | {"epoch": 3}, "/epoch", f"unknown field; {OF_REQUEST}"),
    ("/predict", of() | {"epochs": "all"}, "/epochs", LISTED),
    ("/predict", of() | {"epochs": 0}, "/epochs", LISTED),
    ("/predict", of() | {"epochs": []}, "/epochs", LISTED),
    ("/predict", of() | {"epochs": [0]}, "/epochs/0", "must be at least 1"),
    ("/predict", of() | {"epochs": [1, 1.5]}, "/epochs/1", "must be an integer"),
    ("/predict", of() | {"epochs": 20}, "/epochs", f"must be 1 to {EPOCHS} for task cifar10-mini"),
    ("/predict", of() | {"epochs": [3, 20]}, "/epochs/1", f"must be 1 to {EPOCHS} for task cifar10-mini"),
    ("/predict", of() | {"epochs": [3, 3]}, "/epochs/1", "each epoch may be listed once"),
    ("/predict", of() | {"task": 5}, "/task", "must be a string"),
    ("/predict", of() | {"task": "cifar10"}, "/task", "must be one of: cifar10-mini"),
    ("/predict", of() | {"out_of_range": "x"}, "/out_of_range", f"unknown field; {OF_REQUEST}"),
    ("/predict", of(id="x" * 201), FIRST + "/id", "must have at most 200 characters"),
    ("/predict", of(id=7), FIRST + "/id", "must be a string"),
    ("/predict", of(in_channels=1_000_001), FIRST + "/in_channels", "must be at most 1000000"),
    ("/predict", of(in_channels=1), FIRST + "/in_channels", "the images have 3 channels"),
    ("/predict", of(observed=[]), FIRST + "/observed", "must hold at least one element"),
    ("/predict", of(observed=["0.3"]), FIRST + "/observed/0", "must be a number"),
    ("/predict", of(observed=[-1]), FIRST + "/observed/0", "must be at least 0"),
    ("/predict", of(observed=[35]), FIRST + "/observed/0", "must be at most 1; divide percent by 100"),
    ("/predict", of(observed=[float("nan")]), FIRST + "/observed/0", "must be a finite number"),
    ("/predict", of(observed=[0.1] * 11), FIRST + "/observed", "11 epochs; a curve has 10"),
    ("/stop", {"observed": [0.3]}, "/best", "`best` is missing"),
    (
        "/stop",
        {"best": 0.5},
        "/observed",
        "`observed` is missing: the accuracies after epochs 1, 2, ... so far; many runs go into `architectures`",
    ),
    ("/stop", {"best": 85, "observed": [0.3]}, "/best", "must be at most 1; divide percent by 100"),
    (
        "/stop",
        {"best": 0.5, "confidence": 95, "observed": [0.3]},
        "/confidence",
        "must be less than 1; divide percent by 100",
    ),
    ("/stop", {"best": 0.5, "observed": 0.3}, "/observed", "must be a list"),
    ("/stop", {"best": 0.5, "observed": [0.3], "architectures": [{"observed": [0.3]}]}, "/observed", OF_EACH),
    (
        "/stop",
        {"best": 0.5, "architectures": [{"layers": [RELU]}]},
        FIRST + "/observed",
        "`observed` is missing: the accuracies after epochs 1, 2, ... so far",
    ),
]


@pytest.mark.parametrize(("path", "body", "pointer", "detail"), MESSAGES, ids=[str(m[1])[:70] for m in MESSAGES])
def test_a_fault_is_explained(mini: TestClient, path: str, body: Any, pointer: str, detail: str) -> None:
    """The pointer tells where, the detail what to do; the document's own detail says both."""
    response = mini.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    document = problem(response, 422)
    (fault,) = document["errors"]
    assert (fault["pointer"], fault["detail"]) == (pointer, detail)
    place = pointer.rpartition("/")[0] if " is missing" in detail else pointer
    assert document["detail"] == (f"{place}: {detail}" if place else detail)


@pytest.mark.parametrize("body", [{"layers": [RELU]}, {"architecture": {"layers": [RELU]}}, {"networks": []}])
def test_a_request_without_architectures_is_told_that_they_are_missing(mini: TestClient, body: Any) -> None:
    """First; then, which fields there are instead of the one that was sent."""
    missing, unknown = problem(mini.post("/predict", json=body), 422)["errors"]
    assert missing["detail"] == "`architectures` is missing: a list of networks, each an object with `layers`"
    assert unknown == {
        "pointer": f"/{next(iter(body))}",
        "code": "unknown-field",
        "detail": f"unknown field; {OF_REQUEST}",
    }


def test_a_layer_instead_of_a_network_is_told_what_is_missing(mini: TestClient) -> None:
    document = problem(mini.post("/predict", json={"architectures": [RELU]}), 422)
    assert document["detail"] == (
        "/architectures/0: `layers` is missing: a list of layers, each an object with a `type` (and 1 more)"
    )


def test_a_task_that_cannot_continue_curves_says_how_to_make_it(client: TestClient) -> None:
    """It predicts networks without `observed` as ever."""
    (fault,) = problem(client.post("/predict", json=of(observed=[0.1])), 422)["errors"]
    assert fault["pointer"] == "/architectures/0/observed"
    assert fault["code"] == "unsupported"
    assert fault["detail"].startswith("task tiny cannot continue curves; fit that with `peephole ")
    (fault,) = problem(client.post("/stop", json={"best": 0.5, "observed": [0.1]}), 422)["errors"]
    assert fault["pointer"] == "/observed"
    assert client.post("/predict", json=of()).status_code == 200


@pytest.mark.parametrize("text", ["soon", "-1", "0", "1.5", "1e3", "9" * 10, "\u0663", "", " "])
def test_a_deadline_that_is_none_is_a_400(client: TestClient, text: str) -> None:
    headers = {"X-Request-Timeout-Ms": text.encode("utf-8")}
    document = problem(client.post("/predict", json=of(), headers=headers), 400)
    assert document["detail"] == "X-Request-Timeout-Ms must be a positive integer, in milliseconds."


def test_a_missing_key_is_answered_with_the_headers_that_may_hold_it(serve: Serve) -> None:
    response = serve(api_keys="secret").post("/predict", json=of())
    assert problem(response, 401)["detail"] == (
        "A valid key is needed, as Authorization: Bearer KEY or X-API-Key: KEY."
    )
