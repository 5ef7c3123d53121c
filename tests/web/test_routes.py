"""What the page is served with, without a browser."""

import gzip
import re
import tomllib

from starlette.testclient import TestClient

from model.network.graph import costs, resolve
from model.network.schema import LAYERS
from model.network.shapes import Shape
from service.web.routes import FILES
from tests.service.live import ROOT
from tests.service.requests import problem

MOST_BYTES = 150_000
NETWORK = [
    {"type": "conv", "kernel_size": 3, "out_channels": 8, "name": "a"},
    {"type": "batch_norm"},
    {"type": "conv", "kernel_size": 1, "out_channels": 8},
    {"type": "add", "inputs": ["a", "c"], "name": "d"},
]
NETWORK[2]["name"] = "c"


def test_scripts_come_from_the_service_alone(client: TestClient) -> None:
    """The policy of the page and of each of its files allows no inline script, no eval and no markup from text."""
    for path in ("/", *(f"/web/{name}" for name in FILES)):
        policy = client.get(path).headers["content-security-policy"]
        directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert directives["default-src"] == "'none'"
        assert directives["script-src"] == directives["connect-src"] == "'self'"
        assert directives["require-trusted-types-for"] == "'script'"
        assert "unsafe" not in policy
    page = FILES["index.html"].decode()
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", page)


def test_other_paths_keep_their_policy(client: TestClient) -> None:
    """The policy would stop the scripts of /docs."""
    assert "content-security-policy" not in client.get("/docs").headers


def test_files_name_no_other_host_and_no_absolute_path() -> None:
    """The page works offline and behind a path prefix."""
    for name, content in FILES.items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//[a-z]", text.replace("// ", "")), name
        assert not re.search(r"""(src|href)="/|(call|fetch)\(["'`]/""", text), name


def test_the_first_view_is_small() -> None:
    """All files together, compressed as the service does."""
    assert sum(len(gzip.compress(content, 1)) for content in FILES.values()) < MOST_BYTES


def test_the_files_are_part_of_the_package() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["service"]
    assert "web/assets/*" in patterns


def test_the_page_can_be_switched_off(serve) -> None:
    client = serve(playground=False)
    for path in ("/", "/web/app.js", "/web/start"):
        problem(client.get(path), 404)
    assert client.get("/docs").status_code == 200


def test_unknown_files_are_not_found(client: TestClient) -> None:
    for path in ("/web/nope", "/web/..%2froutes.py", "/web/%2e%2e"):
        problem(client.get(path), 404)


def test_examples_and_sampled_networks_are_valid_and_repeatable(client: TestClient) -> None:
    """They are predicted as they are; the same seed samples the same networks."""
    start = client.get("/web/start").json()
    sampled = client.get("/web/sampled?seed=3&count=6").json()
    assert sampled == client.get("/web/sampled?seed=3&count=6").json()
    assert sampled != client.get("/web/sampled?seed=4&count=6").json()
    for network in start["examples"] + sampled:
        resolve(LAYERS.validate_python(network["layers"], strict=False), Shape(3, 32, 32))
    assert len(start["examples"]) == 4
    for query in ("seed=x", "seed=-1", "count=501", "count=1e3"):
        problem(client.get(f"/web/sampled?{query}"), 400)


def test_layers_have_their_shapes_and_the_costs_of_the_network(client: TestClient) -> None:
    """Their costs add up to what a prediction says, with the biases that batch norm saves."""
    image = Shape(3, 9, 9)
    found = client.post("/web/layers", json={"layers": NETWORK, "input": [3, 9, 9]}).json()
    assert [one["shape"] for one in found] == ["8x9x9"] * 4
    whole = costs(resolve(LAYERS.validate_python(NETWORK), image))
    assert sum(one["params"] for one in found) == whole.params
    assert sum(one["flops"] for one in found) == whole.flops


def test_a_fault_names_the_layer(client: TestClient) -> None:
    faulty = [*NETWORK[:3], {"type": "add", "inputs": ["a", "nobody"]}]
    document = problem(client.post("/web/layers", json={"layers": faulty, "input": [3, 9, 9]}), 422)
    assert document["errors"][0]["pointer"] == "/layers/3/inputs"


def test_what_the_page_asks_of_the_service_needs_the_key(serve) -> None:
    """Where keys are set; the page itself does not."""
    client = serve(api_keys="key")
    assert client.get("/").status_code == 200
    problem(client.post("/web/layers", json={"layers": NETWORK, "input": [3, 9, 9]}), 401)
    problem(client.get("/web/sampled"), 401)
