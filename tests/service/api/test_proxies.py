"""`proxies` in requests: read by a predictor that was fitted with them, and by a context that has them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau
from starlette.testclient import TestClient

from model.network.schema import LAYERS
from service.app import create_app
from service.settings import Settings
from training.observations.observation import Observation
from training.observations.read import read

INPUT = [3, 16, 16]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service with the predictors that ship, and a database of its own."""
    with TestClient(create_app(Settings(state=tmp_path_factory.mktemp("state")))) as client:
        while client.get("/readyz").status_code != 200:
            pass
        yield client


@pytest.fixture(scope="module")
def rows() -> list[Observation]:
    """Measured networks of the test split of cifar10-mini."""
    found = {row.network_id: row for row in read(Path("data/cifar10-mini.parquet")) if row.split == "test"}
    return list(found.values())


def network(row: Observation, *, scored: bool = True, **fields: Any) -> dict[str, Any]:
    proxies = {"proxies": row.proxies} if scored else {}
    return {"layers": LAYERS.dump_python(row.layers, mode="json")} | proxies | fields


def predict(client: TestClient, architectures: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    response = client.post("/predict", json={"architectures": architectures, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def final(answer: dict[str, Any]) -> np.ndarray:
    return np.array([one["final_accuracy"] for one in answer["predictions"]])


def test_scores_make_predictions_better_and_are_optional(shipped: TestClient, rows: list[Observation]) -> None:
    """On 405 networks that it was not fitted to, the squared error falls by a tenth or more; each is read by itself."""
    plain = final(predict(shipped, [network(row, scored=False) for row in rows], task="cifar10-mini"))
    scored = final(predict(shipped, [network(row) for row in rows], task="cifar10-mini"))
    measured = np.array([row.accuracy[-1] for row in rows])
    assert ((scored - measured) ** 2).mean() < 0.9 * ((plain - measured) ** 2).mean()
    mixed = final(
        predict(shipped, [network(row, scored=i % 2 == 0) for i, row in enumerate(rows[:40])], task="cifar10-mini")
    )
    np.testing.assert_allclose(mixed[::2], scored[:40:2], atol=2e-4)
    np.testing.assert_allclose(mixed[1::2], plain[1:40:2], atol=2e-4)


def test_scores_and_observed_epochs_go_together(shipped: TestClient, rows: list[Observation]) -> None:
    """What was observed stays, and the rest follows from it and from the scores."""
    seen = {"observed": rows[0].accuracy[:3]}
    architectures = [network(rows[0], **seen), network(rows[0], scored=False, **seen)]
    one, other = predict(shipped, architectures, task="cifar10-mini")["predictions"]
    assert one["accuracy"][:3] == other["accuracy"][:3] == pytest.approx(rows[0].accuracy[:3], abs=1e-4)
    assert one["accuracy"][3:] != other["accuracy"][3:]


def test_a_predictor_says_which_scores_it_reads(shipped: TestClient) -> None:
    assert "naswot" in shipped.get("/tasks/cifar10-mini").json()["reads_proxies"]
    assert shipped.get("/tasks/metaqnn-svhn").json()["reads_proxies"] == []


def test_known_scores_do_not_matter_where_none_are_read(shipped: TestClient, rows: list[Observation]) -> None:
    asked = [network(row) for row in rows[:2]]
    bare = [network(row, scored=False) for row in rows[:2]]
    assert (
        final(predict(shipped, asked, task="metaqnn-svhn")) == final(predict(shipped, bare, task="metaqnn-svhn"))
    ).all()


@pytest.mark.parametrize(
    ("proxies", "pointer"),
    [
        ({"naswot": 1.0, "no_such": 1.0}, "/architectures/1/proxies/no_such"),
        ({"naswot": "high"}, "/architectures/1/proxies/naswot"),
        ({f"s{number}": 1.0 for number in range(65)}, "/architectures/1/proxies"),
        ([1.0], "/architectures/1/proxies"),
    ],
)
def test_other_scores_are_rejected_with_their_place(
    shipped: TestClient, rows: list[Observation], proxies: Any, pointer: str
) -> None:
    asked = [network(rows[0]), network(rows[1]) | {"proxies": proxies}]
    response = shipped.post("/predict", json={"task": "cifar10-mini", "architectures": asked})
    assert pointer in {fault["pointer"] for fault in response.json()["errors"]}
    assert response.status_code == 422


def test_scores_that_are_not_finite_are_rejected(shipped: TestClient, rows: list[Observation]) -> None:
    body = '{"task": "cifar10-mini", "architectures": [{"layers": [{"type": "relu"}], "proxies": {"swap": NaN}}]}'
    response = shipped.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422


def test_a_context_with_scores_of_its_own_reads_them(shipped: TestClient, rows: list[Observation]) -> None:
    """A score that is the accuracy itself makes ranks better; a network without it is ranked by its layers alone."""
    known, asked = rows[:60], rows[60:120]
    context = [
        network(row, scored=False, accuracy=row.accuracy[-1], proxies={"mine": row.accuracy[-1]}) for row in known
    ]
    fields = {"input": INPUT, "context": context, "prior": None}
    scored = predict(
        shipped, [network(row, scored=False, proxies={"mine": row.accuracy[-1]}) for row in asked], **fields
    )
    plain = predict(shipped, [network(row, scored=False) for row in asked], **fields)
    measured = [row.accuracy[-1] for row in asked]
    assert scored["model"]["proxies"] == ["mine"]
    with_mine, without_mine = (kendalltau(final(one), measured).statistic for one in (scored, plain))
    assert with_mine > without_mine + 0.05
    without = [{name: one[name] for name in one if name != "proxies"} for one in context]
    same = predict(shipped, [network(row, scored=False) for row in asked], **fields | {"context": without})
    np.testing.assert_allclose(final(plain), final(same), atol=1e-4)


def test_a_context_reads_only_what_all_of_it_has(shipped: TestClient, rows: list[Observation]) -> None:
    context = [network(row, accuracy=row.accuracy[-1]) for row in rows[:10]]
    context[3]["proxies"] = {"swap": 4.0, "mine": 2.0}
    found = predict(shipped, [network(rows[20])], input=INPUT, context=context, prior=None)
    assert found["model"]["proxies"] == ["swap"]
    asked = [network(rows[20]) | {"proxies": {"swap": 4.0, "yours": 1.0}}]
    body = {"input": INPUT, "context": context, "architectures": asked}
    (fault,) = shipped.post("/predict", json=body).json()["errors"]
    assert fault["pointer"] == "/architectures/0/proxies/yours"


def test_the_scores_of_stored_observations_are_read(shipped: TestClient, rows: list[Observation]) -> None:
    shipped.put("/tasks/scored", json={"input": INPUT, "prior": None})
    observations = [network(row, accuracy=row.accuracy[-1]) for row in rows[:10]]
    assert shipped.post("/tasks/scored/observations", json={"observations": observations}).status_code == 200
    found = predict(shipped, [network(rows[20])], task="scored")
    assert found["model"]["proxies"] == sorted(rows[0].proxies or {})
    shipped.delete("/tasks/scored")
