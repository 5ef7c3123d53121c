"""`POST /predict-weights`: the accuracy of a trained network, read off its weights."""

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from model.accuracies import DECIMALS
from model.weight_features import FeaturesError
from model.weights import WeightsError, WeightsPrediction, read_weights
from service.admission import admitted
from service.aside import aside
from service.body import read_body
from service.models import Model, choose
from service.problems import Fault, Problem, invalid, request_id
from service.service import Service, ServiceDep

router = APIRouter(tags=["prediction"])
TYPES = {"application/octet-stream", "application/safetensors", "application/vnd.safetensors"}


class WeightsAnswer(BaseModel):
    """The accuracy that the weights suggest, with its interval, and the task whose networks it was learnt from."""

    request_id: str
    task: str
    accuracy: float
    lower: float
    upper: float


def _read(content: bytes, model: Model) -> WeightsPrediction:
    assert model.weights is not None  # noqa: S101 - the route checked it
    try:
        return model.weights.predict(read_weights(content))
    except WeightsError as error:
        raise Problem("bad-request", str(error)) from None
    except FeaturesError as error:
        raise invalid([Fault("", "not-weights", str(error))]) from None


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in TYPES:
        raise Problem("unsupported-media-type", f"Send a safetensors file as one of: {', '.join(sorted(TYPES))}.")


def _choose(service: Service, task: str | None) -> Model:
    able = {name: model for name, model in service.models.items() if model.weights is not None}
    model = choose(service.models if task is not None else able or service.models, task)
    if model.weights is None:
        detail = f"task {model.card.task} cannot read weights; these can: {', '.join(able) or 'none'}"
        raise invalid([Fault("/task", "unsupported", detail)])
    return model


@router.post(
    "/predict-weights",
    summary="Read a trained network's accuracy off its weights",
    response_model=WeightsAnswer,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def predict_weights(request: Request, service: ServiceDep, task: str | None = None) -> Response:
    """Predict the accuracy of a network from a safetensors file of its weights, without any data.

    Tensors are named as in PyTorch, `layer3.weight`, `layer3.bias`, in the order of the layers; the body is limited as
    every body is (see /info).
    """
    with admitted(request, service, for_queue=False):
        _check_type(request)
        model = _choose(service, task)
        content = await read_body(request, service, check_type=False, for_queue=False)
        state = request.scope["state"]
        state["sizes"], deadline = {"bytes_in": len(content)}, state["deadline"]
        got = await aside(service.weights_reader, deadline, _read, content, model)
        state["sizes"]["networks"] = 1
    values = {name: round(getattr(got, name), DECIMALS) for name in ("accuracy", "lower", "upper")}
    return JSONResponse({"request_id": request_id(request), "task": model.card.task, **values})
