"""What a prediction for a stored task starts from."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from model.network.schema import MAX_CONTEXT
from service.errors import Problem
from service.tasks.context import stored_context
from store import Context
from tests.service.conftest import Serve
from tests.service.requests import network


def test_a_context_is_the_newest_observations_in_order(serve: Serve, tmp_path: Path) -> None:
    """From three networks on; runs of one network with several seeds are one."""
    client = serve(state=tmp_path, max_architectures=4096)

    def context() -> Context:
        service = client.app.state.service  # type: ignore[attr-defined]
        return asyncio.run(stored_context(service, "default", "leaves", monotonic() + 20))

    def add(*observations: dict[str, Any]) -> None:
        response = client.post("/tasks/leaves/observations", json={"observations": observations})
        assert response.status_code == 200, response.text

    def slug() -> tuple[str, str]:
        with pytest.raises(Problem) as caught:
            context()
        return caught.value.slug, caught.value.detail

    assert slug()[0] == "not-found"
    client.put("/tasks/leaves", json={"input": [3, 32, 32]})
    first = {"layers": network(1)["layers"], "accuracy": 0.1}
    add(first, first | {"seed": 1}, first | {"seed": 2}, {"layers": network(1)["layers"], "accuracy": [0.1, 0.2]})
    assert slug() == ("conflict", "The task has 2 networks; predictions need 3.")
    add({"layers": network(1)["layers"], "accuracy": 0.3})
    found = context()
    assert [one.accuracy for one in found.observations] == [0.1, 0.1, 0.1, [0.1, 0.2], 0.3]
    assert found.observations[0].layers == first["layers"]
    add(*({"layers": network(1)["layers"], "accuracy": number / 2000} for number in range(MAX_CONTEXT + 1)))
    newest = context().observations
    assert [one.accuracy for one in newest] == [number / 2000 for number in range(1, MAX_CONTEXT + 1)]
