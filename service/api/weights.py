"""`POST /predict-weights`: the accuracy of a trained network, predicted from its weights (arXiv 2002.11448)."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from model.loaded import Model
from model.network.faults import Fault
from model.weight_features import FeaturesError
from model.weights import WeightsPrediction, WeightsPredictor
from model.weights_file import WeightsError, read_weights
from service.api.admission import Deadline, read_body, run
from service.api.schemas import WeightsResponse
from service.errors import Problem, invalid, request_id
from service.state import Service, ServiceDep

router = APIRouter(tags=["prediction"])
TYPES = {"application/octet-stream", "application/safetensors", "application/vnd.safetensors"}
BINARY_BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@router.post(
    "/predict-weights",
    summary="Predict a trained network's accuracy from its weights",
    response_model=WeightsResponse,
    openapi_extra={"requestBody": BINARY_BODY},
)
async def predict_weights(
    request: Request, service: ServiceDep, deadline: Deadline, task: str | None = None
) -> Response:
    """Predict the accuracy of a network from a safetensors file of its weights, without any data.

    Tensors are named as in PyTorch (`layer3.weight`, `layer3.bias`), with numbers in the order of the layers. Pruned
    and normalised weights are understood; quantised ones, several networks in a file and unknown forms are a 422.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in TYPES:
        raise Problem("unsupported-media-type", f"Send a safetensors file as one of: {', '.join(sorted(TYPES))}.")
    model, weights = _choose(service, task)
    content = await read_body(request, deadline)
    prediction = await run(service, deadline, _predict, content, weights, inline=False)
    request.scope["state"]["sizes"]["networks"] = 1
    return JSONResponse({"request_id": request_id(request), "task": model.card.task, **prediction.fields()})


def _choose(service: Service, task: str | None) -> tuple[Model, WeightsPredictor]:
    able = {name: model for name, model in service.registry.models.items() if model.weights is not None}
    if task is None and len(able) == 1:
        task = next(iter(able))
    if task is None and able:
        detail = f"several predictors read weights; name one of: {', '.join(able)}"
        raise invalid(Fault("/task", "missing", detail))
    model = service.registry.choose(task)
    if model.weights is None:
        detail = f"task {model.card.task} cannot read weights; these can: {', '.join(able) or 'none'}"
        raise invalid(Fault("/task", "unsupported", detail))
    return model, model.weights


def _predict(content: bytes, weights: WeightsPredictor) -> WeightsPrediction:
    try:
        return weights.predict(read_weights(content))
    except WeightsError as error:
        raise Problem("bad-request", str(error)) from None
    except FeaturesError as error:
        raise invalid(Fault("", "not-weights", str(error))) from None
