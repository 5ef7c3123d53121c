"""Examples for `/docs`; the tests send each of them."""

import json

LAYERS = [
    {"type": "conv", "kernel_size": 3, "out_channels": 16},
    {"type": "batch_norm"},
    {"type": "relu"},
    {"type": "conv", "kernel_size": [3, 5], "channel_ratio": 2.0},
    {"type": "relu"},
    {"type": "max_pool", "kernel_size": 2, "stride": 2},
]
RESIDUAL = [
    {"type": "conv", "kernel_size": 3, "out_channels": 32},
    {"type": "batch_norm"},
    {"type": "relu", "name": "stem"},
    {"type": "conv", "kernel_size": 3, "out_channels": 32, "groups": "depthwise"},
    {"type": "batch_norm", "name": "branch"},
    {"type": "add", "inputs": ["branch", "stem"]},
    {"type": "relu"},
]


def predict_examples(task: str) -> dict[str, dict[str, object]]:
    """Return bodies of prediction requests, in OpenAPI's form."""
    return {
        "one": {
            "summary": "One network, every epoch",
            "value": {"task": task, "architectures": [{"id": "cand-17", "layers": LAYERS}]},
        },
        "ranking": {
            "summary": "Rank two networks",
            "value": {
                "task": task,
                "epochs": 1,
                "architectures": [{"id": "deep", "layers": LAYERS}, {"id": "shallow", "layers": LAYERS[:3]}],
            },
        },
        "residual": {
            "summary": "A residual block: layers that read others by name",
            "value": {"task": task, "architectures": [{"layers": RESIDUAL}]},
        },
    }


def stop_examples(task: str) -> dict[str, dict[str, object]]:
    """Return bodies of early-stopping requests, in OpenAPI's form."""
    return {
        "one": {
            "summary": "One run, its curve alone",
            "value": {"task": task, "best": 0.8, "observed": [0.1, 0.12]},
        },
        "population": {
            "summary": "Runs whose networks are known",
            "value": {
                "task": task,
                "best": 0.8,
                "confidence": 0.99,
                "architectures": [
                    {"id": "deep", "layers": LAYERS, "observed": [0.31, 0.42]},
                    {"id": "shallow", "layers": LAYERS[:3], "observed": [0.25]},
                ],
            },
        },
    }


def task_examples(task: str) -> dict[str, dict[str, object]]:
    """Return bodies that create a stored task, in OpenAPI's form."""
    own = {"input": [3, 64, 64], "description": "Leaves, 20 epochs: validation accuracy", "prior": task}
    return {
        "input": {"summary": "Images of a size", "value": {"input": [3, 64, 64]}},
        "prior": {"summary": "With a description and a prior", "value": own},
    }


def observation_examples(_: str) -> dict[str, dict[str, object]]:
    """Return bodies of measured networks, in OpenAPI's form."""
    one = {"layers": LAYERS, "accuracy": 0.71}
    curve = {"id": "cand-17", "layers": RESIDUAL, "accuracy": [0.52, 0.66, 0.7], "seed": 1, "proxies": {"naswot": 61.5}}
    return {
        "one": {"summary": "A network and its final accuracy", "value": {"observations": [one]}},
        "curve": {"summary": "With curve, seed and proxies", "value": {"observations": [one, curve]}},
    }


def fit_examples(_: str) -> dict[str, dict[str, object]]:
    """Return the body that queues a fit, in OpenAPI's form."""
    return {"fit": {"summary": "Of what is stored", "value": {}}}


def version_examples(_: str) -> dict[str, dict[str, object]]:
    """Return bodies that choose a version, in OpenAPI's form."""
    return {
        "context": {"summary": "Predict from the observations", "value": {"version": "context"}},
        "last": {"summary": "What won the last fit", "value": {"version": None}},
    }


def infer_examples(task: str) -> dict[str, dict[str, object]]:
    """Return bodies of the Open Inference Protocol, in OpenAPI's form."""
    texts = [json.dumps({"id": task, "layers": LAYERS})]
    inputs = [
        {"name": "architectures", "datatype": "BYTES", "shape": [1], "data": texts},
        {"name": "epochs", "datatype": "INT64", "shape": [2], "data": [1, 2]},
    ]
    return {"one": {"summary": "One network, two epochs", "value": {"id": "r-1", "inputs": inputs}}}
