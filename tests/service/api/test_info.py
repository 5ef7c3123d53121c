"""`GET /info`: version, limits, provider, the last reload; and `/problems`."""

from importlib.metadata import version
from pathlib import Path

from starlette.testclient import TestClient

from model.artifact import read_artifact
from service.errors import PROBLEM_TYPES
from service.settings import Settings
from tests.service.conftest import Serve


def test_info_is_short_and_complete(client: TestClient, tiny: Path) -> None:
    response = client.get("/info")
    info = response.json()
    assert (info["name"], info["version"]) == ("peephole", version("peephole-service"))
    card = read_artifact(tiny).card
    assert info["tasks"] == {"tiny": {"version": card.version, "sha256": card.sha256}}
    assert info["provider"] == {"requested": "auto", "used": "cpu", "fallback": None}
    assert info["reload"] == {"state": "none", "at": None, "error": None}
    assert info["threads"] == 1
    assert len(response.content) < 1000


def test_info_publishes_every_limit_of_the_settings(serve: Serve) -> None:
    limits = serve(max_layers=7, max_deadline_ms=1234).get("/info").json()["limits"]
    assert set(limits) == {name for name in Settings.model_fields if name.startswith("max_")}
    assert (limits["max_layers"], limits["max_deadline_ms"]) == (7, 1234)
    assert limits["max_body_bytes"] == 8 * 1024 * 1024


def test_every_problem_type_has_advice(client: TestClient) -> None:
    for slug, kind in PROBLEM_TYPES.items():
        document = client.get(f"/problems/{slug}").json()
        assert document == {
            "type": f"/problems/{slug}",
            "title": kind.title,
            "status": kind.status,
            "advice": kind.advice,
        }
