"""The OpenAPI document: bodies that the routes read themselves, worked examples, the problems of every route."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.examples import predict_examples, stop_examples
from service.routes.stop import StopRequest
from service.schemas import PredictRequest, ProblemDocument

_REF = "#/components/schemas/{model}"
BODIES: dict[str, type[BaseModel]] = {"/predict": PredictRequest, "/stop": StopRequest}
EXAMPLES = {"/predict": predict_examples, "/stop": stop_examples}


def _problem() -> dict[str, Any]:
    schema = {"$ref": _REF.format(model="ProblemDocument")}
    return {"description": "RFC 9457 problem details", "content": {"application/problem+json": {"schema": schema}}}


def describe(app: FastAPI) -> None:
    """Complete the application's OpenAPI document when it is first asked for."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = generate()
        kinds = [(kind, "validation") for kind in (*BODIES.values(), ProblemDocument)]
        _, definitions = models_json_schema(kinds, ref_template=_REF)  # type: ignore[arg-type]
        document.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
        task = next(iter(app.state.service.models), "my-task")
        for path, operations in document["paths"].items():
            for operation in operations.values():
                responses = operation["responses"]
                responses.pop("422", None)
                responses["default"] = _problem()
                if path in BODIES:
                    for status in ("400", "408", "413", "415", "422", "500", "503"):
                        responses[status] = _problem()
                    schema = {"$ref": _REF.format(model=BODIES[path].__name__)}
                    content = {"schema": schema, "examples": EXAMPLES[path](task)}
                    operation["requestBody"] = {"required": True, "content": {"application/json": content}}
        return document

    app.openapi = openapi  # type: ignore[method-assign]
