"""The FastAPI endpoint that one writes in an hour: pydantic models in and out, the predictor in a `def` endpoint."""

from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.rivals.architecture import Architecture
from benchmarks.rivals.predicting import CORES, CurvePredictor, document


class PredictRequest(BaseModel):
    """A prediction request."""

    architectures: list[Architecture]


class PredictResponse(BaseModel):
    """Curves [networks, epochs] and scores [networks]."""

    accuracy: list[list[float]]
    lower: list[list[float]]
    upper: list[list[float]]
    distance: list[float]


app = FastAPI()
predictor = CurvePredictor(threads=CORES)


@app.post("/predict")
def predict(request: PredictRequest) -> PredictResponse:
    """Predict whole curves."""
    networks = [predictor.encode(architecture) for architecture in request.architectures]
    return PredictResponse(**document(predictor.run(networks)))
