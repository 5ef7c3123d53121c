"""The endpoint that one writes in an hour: pydantic models in and out, the predictor in a `def` endpoint."""

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.rivals.predicting import CORES, CurvePredictor, document
from model.network.schema import Architecture, Layer


class Network(BaseModel):
    """A network as layers or as codes."""

    layers: list[Layer] | None = None
    codes: list[list[int]] | None = None


class Question(BaseModel):
    """A prediction request."""

    architectures: list[Network]


class Answer(BaseModel):
    """Curves [networks, epochs] and scores [networks]."""

    accuracy: list[list[float]]
    lower: list[list[float]]
    upper: list[list[float]]
    distance: list[float]


app = FastAPI()
predictor = CurvePredictor(threads=CORES)


@app.post("/predict")
def predict(question: Question) -> Answer:
    """Predict whole curves."""
    networks = [
        np.array(network.codes, dtype=np.int32)
        if network.layers is None
        else predictor.encode(Architecture.model_construct(layers=network.layers, in_channels=None))
        for network in question.architectures
    ]
    return Answer(**document(predictor.run(networks)))
