"""The OpenAPI document: the bodies that the routes validate themselves, examples, the problems of every route."""

from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from model.requests.schema import PREDICT_REQUEST, StopOneRun, StopRuns
from service.api.examples import (
    fit_examples,
    infer_examples,
    observation_examples,
    predict_examples,
    stop_examples,
    task_examples,
    version_examples,
)
from service.api.schemas import ProblemDocument
from service.api.tensors import INFER_REQUEST
from service.tasks.reading import NAME
from service.tasks.schemas import POST_FIT, POST_OBSERVATIONS, PUT_TASK, PUT_VERSION

_REF = "#/components/schemas/{model}"
_STOP: TypeAdapter[Any] = TypeAdapter(StopRuns | StopOneRun)
_INFER = (INFER_REQUEST, infer_examples)
BODIES = {
    ("post", "/predict"): (PREDICT_REQUEST, predict_examples),
    ("post", "/stop"): (_STOP, stop_examples),
    ("post", "/v2/models/{name}/infer"): _INFER,
    ("post", "/v2/models/{name}/versions/{version}/infer"): _INFER,
    ("put", "/tasks/{name}"): (PUT_TASK, task_examples),
    ("post", "/tasks/{name}/observations"): (POST_OBSERVATIONS, observation_examples),
    ("post", "/tasks/{name}/fits"): (POST_FIT, fit_examples),
    ("put", "/tasks/{name}/version"): (PUT_VERSION, version_examples),
}
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_STORED = "/tasks/{name}"
_STORED_STATUSES = ("400", "401", "404", "429", "503", "504")
_STATUSES = ("400", "401", "413", "415", "422", "429", "500", "503", "504")


def describe(app: FastAPI) -> None:
    """Let the application's document follow the predictors that are loaded."""
    generate = app.openapi
    described: list[str] | None = None

    def openapi() -> dict[str, Any]:
        nonlocal described
        tasks = list(app.state.service.registry.models)
        if app.openapi_schema is None or tasks != described:
            app.openapi_schema = None
            _complete(generate(), tasks)
            if app.state.service.keys:
                _require_keys(generate())
            described = tasks
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any], tasks: list[str]) -> None:
    """Add to FastAPI's document what it cannot know; `tasks` are those loaded now."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _, definitions = models_json_schema([(ProblemDocument, "validation")], ref_template=_REF)
    schemas.update(definitions["$defs"])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _problem()
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "name" and tasks and path.startswith("/v2"):
                    parameter["schema"]["enum"] = tasks
            if path.startswith(_STORED):
                operation["responses"].update({status: _problem() for status in _STORED_STATUSES})
            if (method, path) in BODIES:
                adapter, examples = BODIES[method, path]
                schema = adapter.json_schema(ref_template=_REF)
                schemas.update(schema.pop("$defs", {}))
                content = {"schema": schema, "examples": examples(tasks[0] if tasks else "my-task")}
                operation["requestBody"] = {"required": True, "content": {"application/json": content}}
                operation["responses"].update({status: _problem() for status in _STATUSES})
                if path.startswith(_STORED):
                    operation["responses"].update({status: _problem() for status in ("403", "409")})
                if path == "/predict" and tasks:
                    stored = {"type": "string", "pattern": f"^{NAME}$", "description": "A stored task."}
                    loaded = {"enum": tasks, "description": "A loaded predictor."}
                    schema["properties"]["task"] = {"anyOf": [loaded, stored], "description": "What is predicted."}
                    if len(tasks) > 1:  # a request that brings its context has no task
                        schema["anyOf"] = [{"required": ["task"]}, {"required": ["context", "input"]}]


def _require_keys(document: dict[str, Any]) -> None:
    """Say that predictions and stored tasks need a key, so that /docs can send one."""
    document["components"]["securitySchemes"] = _KEYS
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method != "get" or path.startswith(f"{_STORED}/"):
                operation["security"] = [{name: []} for name in _KEYS]


def _problem() -> dict[str, Any]:
    schema = {"$ref": _REF.format(model="ProblemDocument")}
    return {"description": "RFC 9457 problem details", "content": {"application/problem+json": {"schema": schema}}}
