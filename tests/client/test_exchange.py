"""Populations beyond the limits: parts, halves, ranks of all, pointers into what the caller gave."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic_core import from_json

from peephole import RequestError, ServiceError, UnavailableError
from peephole.errors import Fault
from peephole.exchange import Call, predict, stop
from tests.client.populations import RELU, answer, population

LIMITS = {"max_architectures": 10, "max_body_bytes": 1_000_000}


def carried_out(
    steps: Any,
    reply: Callable[[dict[str, Any]], Any],
    limits: dict[str, int] = LIMITS,
    bodies: list[bytes] | None = None,
) -> Any:
    """Carry out steps and note their bodies; errors that `reply` returns are raised in them."""
    call: Call = next(steps)
    while True:
        if bodies is not None and call.body is not None:
            bodies.append(call.body)
        found = {"limits": limits} if call.path == "/info" else reply(from_json(call.body))
        try:
            call = steps.throw(found) if isinstance(found, Exception) else steps.send(found)
        except StopIteration as end:
            return end.value


def test_a_population_is_sent_in_parts_and_ranked_as_one() -> None:
    """In order, each part within both limits; ranks are those of the whole, not of the parts."""
    sizes = []

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        sizes.append(len(body["architectures"]))
        return answer(body)

    networks = [{"layers": [RELU] * (1 + index * 7 % 25)} for index in range(25)]
    found = carried_out(predict(networks), reply)
    assert sizes == [10, 10, 5]
    assert [one.index for one in found] == list(range(25))
    assert [one.params for one in found] == [len(one["layers"]) for one in networks]
    assert [one.rank for one in found] == [26 - one.params for one in found]


def test_bodies_stay_below_the_limit_of_bytes() -> None:
    bodies: list[bytes] = []
    limits = {"max_architectures": 1000, "max_body_bytes": 3000}
    steps = predict(population(20), task="tiny", constraints={"params": 1})
    carried_out(steps, answer, limits, bodies)
    assert len(bodies) > 3
    assert max(map(len, bodies)) <= 3000
    assert all(from_json(body)["constraints"] == {"params": 1} for body in bodies)
    assert [one["id"] for body in bodies for one in from_json(body)["architectures"]] == [f"n{n}" for n in range(20)]


def test_what_is_too_large_nevertheless_is_halved() -> None:
    """The queue's limit counts padded layers, and a proxy has limits of its own."""

    def reply(body: dict[str, Any]) -> Any:
        return answer(body) if len(body["architectures"]) <= 3 else RequestError("too large", 413)

    found = carried_out(predict(population(20)), reply)
    assert [one.id for one in found] == [f"n{index}" for index in range(20)]
    with pytest.raises(RequestError, match="too large"):
        carried_out(predict(population(2)), lambda body: RequestError("too large", 413))


def test_pointers_are_into_the_whole_population() -> None:
    def reply(body: dict[str, Any]) -> Any:
        names = [one["id"] for one in body["architectures"]]
        if "n13" not in names:
            return answer(body)
        where = f"/architectures/{names.index('n13')}/layers/2/type"
        return RequestError("", 422, "r", [Fault(where, "unknown-type", "no"), Fault("/task", "unknown-task", "no")])

    with pytest.raises(RequestError) as caught:
        carried_out(predict(population(20)), reply)
    assert [fault.pointer for fault in caught.value.faults] == ["/architectures/13/layers/2/type", "/task"]
    assert str(caught.value) == "/architectures/13/layers/2/type: no\n/task: no"


def test_fronts_are_of_the_whole_population() -> None:
    """Costs of the caller's own count, as they do in one request."""
    networks = [
        {"layers": [RELU] * size, "costs": {"watts": watts}} for size, watts in ((1, 1), (2, 3), (2, 2), (1, 2))
    ]
    found = carried_out(predict(networks, objectives=["accuracy", "watts"]), answer, {"max_architectures": 2})
    assert [one.pareto_rank for one in found] == [1, 2, 1, 2]


def test_parts_of_one_answer_come_from_one_predictor() -> None:
    """A predictor that is replaced in between answers again; one that never stays is an error."""
    calls = []

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        calls.append(body)
        return answer(body, sha256=f"{min(len(calls), 2):064}")

    assert len(carried_out(predict(population(20)), reply)) == 20
    assert len(calls) == 4
    with pytest.raises(UnavailableError, match="loads new predictors"):
        carried_out(predict(population(20)), lambda body: answer(body, body["architectures"][0]["id"]))


def test_one_network_needs_no_limits() -> None:
    """One request, which adapters rely on."""
    assert next(predict([RELU])).path == "/predict"
    assert next(stop({"observed": [0.5]}, best=0.5)).path == "/stop"
    assert next(predict(population(2))).path == "/info"


@pytest.mark.parametrize(
    ("networks", "sent"),
    [
        ([RELU], [{"layers": [RELU]}]),
        ([[RELU], [RELU, RELU]], [{"layers": [RELU]}, {"layers": [RELU, RELU]}]),
        ({"layers": [RELU], "id": "a"}, [{"layers": [RELU], "id": "a"}]),
        ({"input": [3, 8, 8], "architectures": [{"layers": [RELU]}]}, [{"layers": [RELU]}]),
        ([{"layers": (RELU,)}, [RELU]], [{"layers": [RELU]}, {"layers": [RELU]}]),
    ],
    ids=["layers", "layer lists", "architecture", "imported", "mixed"],
)
def test_networks_come_in_all_forms(networks: Any, sent: Any) -> None:
    bodies = []
    carried_out(predict(networks), lambda body: bodies.append(body) or answer(body))
    assert bodies[0]["architectures"] == sent
    assert ("input" in bodies[0]) == (isinstance(networks, dict) and "input" in networks)


def test_imported_networks_of_different_images_need_one_named() -> None:
    networks = [{"input": [3, size, size], "architectures": [{"layers": [RELU]}]} for size in (8, 16)]
    with pytest.raises(RequestError, match="imported for different images"):
        next(predict(networks))
    bodies = []
    carried_out(predict(networks, input=(3, 8, 8)), lambda body: bodies.append(body) or answer(body))
    assert bodies[0]["input"] == [3, 8, 8]


@pytest.mark.parametrize(
    ("networks", "says"),
    [([], "there is no network"), ([{"id": "a", "layers": [RELU]}] * 2, "/architectures/1/id: another network has")],
)
def test_populations_that_cannot_be_sent_are_rejected(networks: Any, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        next(predict(networks))


def test_numbers_of_numpy_are_numbers() -> None:
    """Searches draw their fields with it; what JSON has no number for is left to the service, which points at it."""
    layer = {"type": "conv", "kernel_size": np.int64(3), "channel_ratio": np.float32(0.5), "out_channels": np.nan}
    call = next(predict([[layer | {"stride": np.array([1, 2])}]]))
    assert call.body is not None
    (sent,) = from_json(call.body)["architectures"][0]["layers"]
    assert (sent["kernel_size"], sent["channel_ratio"], sent["stride"]) == (3, 0.5, [1, 2])
    assert b"NaN" in call.body
    with pytest.raises(Exception, match="has no form in JSON"):
        next(predict([[layer | {"stride": object()}]]))


def test_answers_of_another_form_are_errors_of_the_service() -> None:
    with pytest.raises(ServiceError, match="another form"):
        carried_out(predict([RELU]), lambda body: {"model": {"sha256": ""}, "predictions": []})
