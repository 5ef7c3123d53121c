"""The OpenAPI document: valid, complete, and true, with examples that work."""

from typing import Any

import jsonschema
import pytest
from fastapi.routing import APIRoute
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from starlette.testclient import TestClient

from service.api.examples import (
    infer_examples,
    observation_examples,
    predict_examples,
    stop_examples,
    task_examples,
)
from tests.service.api.conftest import TASK
from tests.service.conftest import Serve
from tests.service.requests import RELU, problem

STORED = "stored"


@pytest.fixture(scope="module")
def document(mini: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = mini.get("/openapi.json").json()
    return found


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """Return what validates values against a schema of the document."""
    whole = {"$id": "document", **document}
    registry: Registry[Any] = Registry().with_resource("document", Resource(whole, DRAFT202012))

    def absolute(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: f"document{at}" if key == "$ref" else absolute(at) for key, at in part.items()}
        return [absolute(one) for one in part] if isinstance(part, list) else part

    return jsonschema.Draft202012Validator(absolute(schema), registry=registry)


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [one for value in part.values() for one in references(value)]
    return [one for value in part for one in references(value)] if isinstance(part, list) else []


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OPENAPI_31_VALIDATOR.validate(document)
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert {name.removeprefix("#/components/schemas/") for name in references(document)} <= set(schemas)
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas), "errors are problem documents"


def test_every_route_is_described(document: dict[str, Any]) -> None:
    """With a summary and what it returns when it fails."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert "application/problem+json" in operation["responses"]["default"]["content"]
    ids = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(ids) == len(set(ids))


def test_the_document_and_the_application_name_the_same_routes(mini: TestClient, document: dict[str, Any]) -> None:
    """A GET of each is no 404 and no 405."""
    assert mini.put(f"/tasks/{STORED}", json={"input": [3, 32, 32]}).status_code in (200, 201)
    for path, operations in document["paths"].items():
        name = STORED if path.startswith("/tasks/{name}/") else TASK
        concrete = path.replace("{name}", name).replace("{slug}", "not-found")
        if "get" in operations and "{version}" not in path and "{id}" not in path:
            assert mini.get(concrete).status_code == 200, path
        if "post" in operations and "get" not in operations:
            problem(mini.get(concrete), 405)


EXAMPLES = [
    *(("post", "/predict", name) for name in predict_examples("x")),
    *(("post", "/stop", name) for name in stop_examples("x")),
    *(("post", "/v2/models/{name}/infer", name) for name in infer_examples("x")),
    *(("put", "/tasks/{name}", name) for name in task_examples("x")),
    *(("post", "/tasks/{name}/observations", name) for name in observation_examples("x")),
]


@pytest.mark.parametrize(("method", "path", "name"), EXAMPLES)
def test_an_example_works(mini: TestClient, document: dict[str, Any], method: str, path: str, name: str) -> None:
    """It fits its schema, is answered with 200, and the response fits the schema of the response."""
    operation = document["paths"][path][method]
    content = operation["requestBody"]["content"]["application/json"]
    if method == "put":
        mini.delete("/tasks/example")
    body = content["examples"][name]["value"]
    validator(document, content["schema"]).validate(body)
    task = "example" if path.startswith("/tasks") else TASK
    response = mini.request(method, path.replace("{name}", task), json=body)
    assert response.status_code == (201 if method == "put" else 200), response.text
    validator(
        document, operation["responses"][str(response.status_code)]["content"]["application/json"]["schema"]
    ).validate(response.json())


@pytest.mark.parametrize("path", ["/info", "/tasks", f"/tasks/{TASK}", "/problems", "/problems/not-found"])
def test_a_response_fits_its_schema(mini: TestClient, document: dict[str, Any], path: str) -> None:
    described = path.replace(TASK, "{name}").replace("not-found", "{slug}")
    schema = document["paths"][described]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    validator(document, schema).validate(mini.get(path).json())


@pytest.mark.parametrize("path", ["/predict", "/stop", "/v2/models/{name}/infer", "/predict-weights"])
def test_an_error_fits_its_schema(mini: TestClient, document: dict[str, Any], path: str) -> None:
    for body in (b"", b"{}", b'{"architectures": 1}'):
        response = mini.post(path.replace("{name}", TASK), content=body, headers={"Content-Type": "application/json"})
        media = document["paths"][path]["post"]["responses"]["default"]["content"]["application/problem+json"]
        validator(document, media["schema"]).validate(response.json())


CONV = {"type": "conv", "kernel_size": 3, "out_channels": 8}
BODIES = [
    ({"architectures": [{"layers": [RELU]}], "epochs": 3}, True),
    ({"architectures": [{"layers": [RELU]}], "epochs": [1, 2]}, True),
    ({"architectures": [{"layers": [CONV | {"stride": 1024}]}]}, True),
    ({"architectures": [{"layers": [CONV | {"stride": 1025}]}]}, False),
    ({"architectures": [{"layers": [CONV | {"kernel_size": [3]}]}]}, False),
    ({"architectures": [{"layers": [CONV | {"groups": "all"}]}]}, False),
    ({"architectures": [{"layers": [CONV, CONV | {"groups": "depthwise", "padding": [0, 1]}]}]}, True),
    ({"architectures": [{"layers": [RELU | {"name": "a"}, {"type": "add", "inputs": ["a", "input"]}]}]}, True),
    ({"architectures": [{"layers": [RELU], "codes": []}]}, False),
    ({"architectures": []}, False),
    ({"architectures": [{"layers": [RELU]}], "epochs": 0}, False),
    ({}, False),
]


@pytest.mark.parametrize(("body", "is_valid"), BODIES, ids=[str(body)[:80] for body, _ in BODIES])
def test_the_schema_says_what_the_service_does(
    mini: TestClient, document: dict[str, Any], body: dict[str, Any], is_valid: bool
) -> None:
    """Limits on fields and types stand in the document, not in the code alone."""
    schema = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert validator(document, schema).is_valid(body) == is_valid
    assert mini.post("/predict", json=body).status_code == (200 if is_valid else 422)


def test_the_document_names_the_tasks_that_are_loaded(serve: Serve, tiny: Any, tiny_paper: Any) -> None:
    """With several, `task` is required unless a context comes along; it may also be a stored one."""
    document = serve(models=(tiny, tiny_paper)).get("/openapi.json").json()
    schema = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    loaded, _ = schema["properties"]["task"]["anyOf"]
    assert loaded["enum"] == ["tiny", "tiny-paper"]
    asked: dict[str, Any] = {"architectures": [{"layers": [RELU]}]}
    context = [{"layers": [RELU], "accuracy": 0.5}] * 3
    valid = validator(document, schema).is_valid
    assert valid(asked | {"task": "tiny"})
    assert valid(asked | {"task": "leaves", "version": "context"}), "a stored task"
    assert valid(asked | {"context": context, "input": [3, 8, 8]})
    assert not valid(asked)
    assert not valid(asked | {"task": "a b"})
    (name,) = (
        one for one in document["paths"]["/v2/models/{name}/infer"]["post"]["parameters"] if one["name"] == "name"
    )
    assert name["schema"]["enum"] == ["tiny", "tiny-paper"]


def test_keys_are_described_where_they_are_needed(serve: Serve, document: dict[str, Any]) -> None:
    """So that a key can be entered in /docs; only when the service has keys."""
    assert "securitySchemes" not in document["components"]
    guarded = serve(api_keys="key").get("/openapi.json").json()
    OPENAPI_31_VALIDATOR.validate(guarded)
    schemes = guarded["components"]["securitySchemes"]
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer"}
    assert schemes["header"]["name"] == "X-API-Key"
    for operations in guarded["paths"].values():
        for method, operation in operations.items():
            needs_key = method != "get" or operation["tags"] == ["stored tasks"]
            assert operation.get("security") == ([{"bearer": []}, {"header": []}] if needs_key else None)


def test_no_route_is_left_out(mini: TestClient, document: dict[str, Any]) -> None:
    """Every route of the routers is in the document; /docs and /openapi.json describe themselves."""
    from service.app import ROUTERS

    paths = {route.path for module in ROUTERS for route in module.router.routes if isinstance(route, APIRoute)}
    assert paths == set(document["paths"])
