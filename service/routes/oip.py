"""The Open Inference Protocol (V2): the same predictors for KServe, Triton's clients and everything that speaks it."""

from typing import Any

import msgspec
import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from model.runtime import Curves
from service.admission import admitted
from service.aside import aside
from service.body import read_body
from service.continuing import check_observed, predict_population
from service.envelope import malformed
from service.models import Model
from service.population import Population, read_population
from service.problems import RETRY, Fault, Problem, invalid
from service.routes.info import package_version
from service.service import Service, ServiceDep
from service.tensors import LENGTH_HEADER, Infer, check_outputs, read_infer, write_outputs

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
INPUTS = [
    {"name": "architectures", "datatype": "BYTES", "shape": [-1]},
    {"name": "epochs", "datatype": "INT64", "shape": [-1]},
]
OUTPUTS: list[dict[str, Any]] = [
    *({"name": name, "datatype": "FP32", "shape": [-1, -1]} for name in ("accuracy", "lower", "upper")),
    {"name": "distance", "datatype": "FP32", "shape": [-1]},
    {"name": "epochs", "datatype": "INT64", "shape": [-1]},
]

_NO_ARCHITECTURE = frozenset({"model-type", "json-invalid"})
_ELEMENT = "must be one of /predict's architectures, as JSON text"


class InputTensor(BaseModel):
    """A tensor of one dimension: `architectures` (BYTES, each an architecture as JSON text) or `epochs` (INT64)."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, bool | int | str] = {}
    data: list[str] | list[int] | None = Field(None, description="Absent when binary data follows the JSON.")


class OutputTensor(BaseModel):
    """An output that is wanted; all of them when none is named."""

    name: str
    parameters: dict[str, bool | int | str] = {}


class InferRequest(BaseModel):
    """An inference request of the Open Inference Protocol."""

    id: str | None = None
    parameters: dict[str, bool | int | str] = {}
    inputs: list[InputTensor]
    outputs: list[OutputTensor] = []


def _find(service: Service, name: str, version: str | None) -> Model:
    model = service.models.get(name)
    if not service.models:
        _check_ready(service)
    if model is None or version not in (None, model.card.version):
        raise Problem("not-found", f"The models are: {', '.join(service.models)}; their metadata has the version.")
    return model


def _check_ready(service: Service) -> None:
    if reasons := service.reasons():
        raise Problem("unavailable", "; ".join(reasons), headers=RETRY)


@router.get("", summary="Server metadata")
async def server() -> dict[str, Any]:
    """Return the server's name, version and extensions."""
    return {"name": "peephole", "version": package_version(), "extensions": ["binary_tensor_data"]}


@router.get("/health/live", summary="Is the process alive")
async def live(service: ServiceDep) -> dict[str, bool]:
    """Answer as /livez."""
    if service.failure is not None:
        raise Problem("unavailable", service.failure, headers=RETRY)
    return {"live": True}


@router.get("/health/ready", summary="Will a prediction be answered")
async def ready(service: ServiceDep) -> dict[str, bool]:
    """Answer as /readyz."""
    _check_ready(service)
    return {"ready": True}


@router.get("/models/{name}", summary="Model metadata")
@router.get("/models/{name}/versions/{version}", summary="Model metadata")
async def metadata(service: ServiceDep, name: str, version: str | None = None) -> dict[str, Any]:
    """Return a task's inputs and outputs; an element of `architectures` is one of /predict's, as JSON text."""
    card = _find(service, name, version).card
    return {
        "name": name,
        "versions": [card.version],
        "platform": "onnxruntime_onnx",
        "inputs": INPUTS,
        "outputs": OUTPUTS,
    }


@router.get("/models/{name}/ready", summary="Is the model ready")
@router.get("/models/{name}/versions/{version}/ready", summary="Is the model ready")
async def model_ready(service: ServiceDep, name: str, version: str | None = None) -> JSONResponse:
    """Answer 200 when the task is loaded and predictions are answered."""
    _find(service, name, version)
    _check_ready(service)
    return JSONResponse({"name": name, "ready": True})


@router.post("/models/{name}/infer", summary="Predict learning curves")
@router.post("/models/{name}/versions/{version}/infer", summary="Predict learning curves")
async def infer(request: Request, service: ServiceDep, name: str, version: str | None = None) -> Response:
    """Predict the curves of a BYTES tensor of architectures; JSON and binary tensor data in and out.

    A fault's pointer names the element: /architectures/3/layers/7/kernel_size.
    """
    with admitted(request, service):
        model = _find(service, name, version)
        body = await read_body(request, service, check_type=False)
        deadline = request.scope["state"]["deadline"]
        reader = service.reader(len(body))
        asked = await aside(reader, deadline, read_infer, body, request.headers.get(LENGTH_HEADER))
        population, epochs = await aside(reader, deadline, _read, asked, model, service, deadline)
        curves = await predict_population(service, request, model, population, epochs)
        service.metrics.count(model.card, map(len, population.codes), curves.distance)
        request.scope["state"]["sizes"] = {"bytes_in": len(body), "networks": len(population.codes)}
        text = asked.text
        head: dict[str, object] = {"model_name": name, "model_version": model.card.version}
        if text.id is not None:
            head["id"] = text.id
        binary = bool(text.parameters.get("binary_data_output", False))
        arguments = (head, _tensors(curves, epochs), text.outputs, binary)
        answer, length = await aside(service.writers, deadline, write_outputs, *arguments)
    if length is None:
        return Response(answer, media_type="application/json")
    return Response(answer, media_type="application/octet-stream", headers={LENGTH_HEADER: str(length)})


def _read(asked: Infer, model: Model, service: Service, deadline: float) -> tuple[Population, tuple[int, ...]]:
    settings = service.settings
    check_outputs(asked.text.outputs, [output["name"] for output in OUTPUTS])
    texts = [msgspec.Raw(text) for text in asked.strings("architectures") or ()]
    if not texts:
        raise invalid([Fault("/inputs", "missing", "needs a tensor `architectures` with at least one element")])
    if len(texts) > settings.max_architectures:
        limit = f"{len(texts)} are more than the limit of {settings.max_architectures}"
        raise invalid([Fault("/architectures", "too-long", limit)])
    epochs = asked.integers("epochs")
    if epochs is not None and (not epochs or min(epochs) < 1):
        raise invalid([Fault("/epochs", "out-of-range", "must be 1 or more, at least one")])
    choice = asked.text.parameters.get("out_of_range", "error")
    if choice not in ("error", "clamp"):
        raise invalid([Fault("/parameters/out_of_range", "literal-error", "must be one of 'error' or 'clamp'")])
    clamp = choice == "clamp"
    try:
        max_layers = settings.max_layers
        population = read_population(texts, model.vocabulary, clamp=clamp, max_layers=max_layers, deadline=deadline)
    except RecursionError as error:
        malformed(error)
    except Problem as problem:
        if not any(fault.code in _NO_ARCHITECTURE for fault in problem.faults):
            raise
        raise invalid([_as_element(fault) for fault in problem.faults]) from None
    check_observed(population, model)
    return population, model.epochs(epochs)


def _as_element(fault: Fault) -> Fault:
    """Say of an element that is no architecture at all what it should have been."""
    is_one = fault.code not in _NO_ARCHITECTURE or fault.pointer.count("/") > 2
    return fault if is_one else Fault(fault.pointer, fault.code, _ELEMENT)


def _tensors(curves: Curves, epochs: tuple[int, ...]) -> dict[str, np.ndarray[Any, Any]]:
    return {
        "accuracy": curves.accuracy,
        "lower": curves.lower,
        "upper": curves.upper,
        "distance": curves.distance,
        "epochs": np.asarray(epochs, dtype=np.int64),
    }
