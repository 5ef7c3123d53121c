"""The OpenAPI document: bodies that the routes read themselves, worked examples, the problems of every route."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.examples import infer_examples, predict_examples, stop_examples
from service.routes.oip import InferRequest
from service.routes.stop import StopRequest
from service.schemas import PredictRequest, ProblemDocument

_REF = "#/components/schemas/{model}"
_INFER = (InferRequest, infer_examples)
BODIES: dict[str, tuple[type[BaseModel], Callable[[str], dict[str, Any]]]] = {
    "/predict": (PredictRequest, predict_examples),
    "/stop": (StopRequest, stop_examples),
    "/v2/models/{name}/infer": _INFER,
    "/v2/models/{name}/versions/{version}/infer": _INFER,
}
_STATUSES = ("400", "401", "408", "413", "415", "422", "429", "500", "503", "504")


def _problem() -> dict[str, Any]:
    schema = {"$ref": _REF.format(model="ProblemDocument")}
    return {"description": "RFC 9457 problem details", "content": {"application/problem+json": {"schema": schema}}}


def _complete(document: dict[str, Any], tasks: list[str]) -> None:
    """Add to FastAPI's document what it cannot know; `tasks` are those loaded now."""
    kinds = [(kind, "validation") for kind in dict.fromkeys([*(body for body, _ in BODIES.values()), ProblemDocument])]
    _, definitions = models_json_schema(kinds, ref_template=_REF)  # type: ignore[arg-type]
    if len(tasks) > 1:
        request = definitions["$defs"]["PredictRequest"]
        request["required"] = [*request["required"], "task"]
        request["properties"]["task"] = {"enum": tasks, "description": "Which predictor."}
    document.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "name" and tasks:
                    parameter["schema"]["enum"] = tasks
            responses = operation["responses"]
            responses.pop("422", None)
            responses["default"] = _problem()
            if path in BODIES:
                body, examples = BODIES[path]
                responses.update({status: _problem() for status in _STATUSES})
                schema = {"$ref": _REF.format(model=body.__name__)}
                content = {"schema": schema, "examples": examples(tasks[0] if tasks else "my-task")}
                operation["requestBody"] = {"required": True, "content": {"application/json": content}}


def describe(app: FastAPI) -> None:
    """Let the application's document follow the predictors that are loaded."""
    generate = app.openapi
    described: list[str] | None = None

    def openapi() -> dict[str, Any]:
        nonlocal described
        tasks = list(app.state.service.models)
        if app.openapi_schema is None or tasks != described:
            app.openapi_schema = None
            _complete(generate(), tasks)
            described = tasks
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
