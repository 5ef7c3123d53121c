"""The Open Inference Protocol (V2): the same predictors for KServe, Triton's clients and others that speak it."""

from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from model.loaded import Model
from model.network.faults import Fault
from model.ranking import Ranking
from model.requests.networks import choose_epochs, encode_networks
from model.requests.predict import Call
from model.requests.schema import CANDIDATE, Candidate
from model.requests.tradeoffs import TradeOffs
from model.runtime import Curves
from service.api.admission import INLINE_BYTES, INLINE_NETWORKS, Deadline, read_body, run
from service.api.info import package_version
from service.api.predict import count_networks
from service.api.tensors import LENGTH_HEADER, Tensors, check_outputs, read_tensors, write_tensors
from service.errors import RETRY_SOON, Problem, invalid, problem_of
from service.inference.refining import predict_or_refine
from service.state import Service, ServiceDep

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
INPUTS = {"architectures": "BYTES", "epochs": "INT64"}
OUTPUTS: dict[str, tuple[str, list[int]]] = {
    "accuracy": ("FP32", [-1, -1]),
    "lower": ("FP32", [-1, -1]),
    "upper": ("FP32", [-1, -1]),
    "distance": ("FP32", [-1]),
    "epochs": ("INT64", [-1]),
}


def _find(service: Service, name: str, version: str | None) -> Model:
    _check_ready(service)
    model = service.registry.find(name)
    if version not in (None, model.card.version):
        raise Problem("not-found", f"The version of task {name} is {model.card.version}.")
    return model


def _check_ready(service: Service) -> None:
    if reasons := service.not_ready():
        raise Problem("unavailable", "; ".join(reasons), headers=RETRY_SOON)


@router.get("", summary="Server metadata")
async def server() -> dict[str, Any]:
    """Return the server's name, version and extensions."""
    return {"name": "peephole", "version": package_version(), "extensions": ["binary_tensor_data"]}


@router.get("/health/live", summary="Is the process alive")
async def live(service: ServiceDep) -> dict[str, bool]:
    """Answer as /livez."""
    if reason := service.failure or service.supervisor.stalled:
        raise Problem("unavailable", reason, headers=RETRY_SOON)
    return {"live": True}


@router.get("/health/ready", summary="Are predictions served")
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
        "inputs": [{"name": one, "datatype": datatype, "shape": [-1]} for one, datatype in INPUTS.items()],
        "outputs": [{"name": one, "datatype": kind, "shape": shape} for one, (kind, shape) in OUTPUTS.items()],
    }


@router.get("/models/{name}/ready", summary="Is the model ready")
@router.get("/models/{name}/versions/{version}/ready", summary="Is the model ready")
async def model_ready(service: ServiceDep, name: str, version: str | None = None) -> JSONResponse:
    """Answer 200 when the task is loaded and predictions are served."""
    _find(service, name, version)
    return JSONResponse({"name": name, "ready": True})


@router.post("/models/{name}/infer", summary="Predict learning curves")
@router.post("/models/{name}/versions/{version}/infer", summary="Predict learning curves")
async def infer(
    request: Request, service: ServiceDep, deadline: Deadline, name: str, version: str | None = None
) -> Response:
    """Predict the curves of a BYTES tensor of architectures; JSON and binary tensor data in and out.

    A fault's pointer names the element: /architectures/3/layers/7/kernel_size.
    """
    model = _find(service, name, version)
    body = await read_body(request, deadline)
    header = request.headers.get(LENGTH_HEADER)
    inline = len(body) <= INLINE_BYTES
    call, tensors = await run(service, deadline, _read, body, header, model, service, inline=inline)
    networks = call.networks
    inference = await predict_or_refine(service.engine, model, networks, call.epochs, deadline)
    count_networks(service.metrics, model.card, networks, inference.curves)
    request.scope["state"]["sizes"]["networks"] = len(networks.ids)
    head: dict[str, object] = {"model_name": name, "model_version": model.card.version}
    if "id" in tensors.request:
        head["id"] = tensors.request["id"]
    arguments = (head, _output_tensors(call, inference.curves), tensors.request)
    inline = len(networks.ids) <= INLINE_NETWORKS
    content, length = await run(service, deadline, write_tensors, *arguments, inline=inline)
    if length is None:
        return Response(content, media_type="application/json")
    return Response(content, media_type="application/octet-stream", headers={LENGTH_HEADER: str(length)})


def _read(body: bytes, header: str | None, model: Model, service: Service) -> tuple[Call, Tensors]:
    """Validate a request and encode its networks.

    Raises:
        Problem: 400 or 422, with a pointer to each fault.
    """
    tensors = read_tensors(body, header, INPUTS)
    check_outputs(tensors.request.get("outputs", ()), OUTPUTS)
    texts = tensors.elements.get("architectures")
    if not texts:
        raise invalid(Fault("/inputs", "missing", "`inputs` needs a tensor `architectures` with at least one element"))
    settings = service.settings
    networks = encode_networks(
        [_read_element(text, index) for index, text in enumerate(texts)],
        model,
        max_architectures=settings.max_architectures,
        max_layers=settings.max_layers,
    )
    epochs = choose_epochs(tensors.elements.get("epochs"), model.card.epochs, f"task {model.card.task}")
    return Call(model, epochs, networks, TradeOffs({}, [], []), Ranking()), tensors


def _read_element(text: bytes, index: int) -> Any:
    try:
        return CANDIDATE.validate_json(text)
    except ValidationError as error:
        raise problem_of(error, Candidate, ("architectures", index)) from None


def _output_tensors(call: Call, curves: Curves) -> dict[str, np.ndarray[Any, Any]]:
    return {
        "accuracy": curves.accuracy,
        "lower": curves.lower,
        "upper": curves.upper,
        "distance": curves.distance / np.float32(call.model.card.distance_threshold),
        "epochs": np.asarray(call.epochs, dtype=np.int64),
    }
