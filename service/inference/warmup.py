"""The warm-up check: run each predictor once before it serves, so that a broken one is never loaded."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.artifact import CARD_FILE, ArtifactError
from model.continuation import CONTINUATION_CARD_FILE, CONTINUATION_FILE, CONTINUATION_OUTPUTS, Continuation
from model.encoding.layer_code import encode
from model.proxy_reader import PROXIES_CARD_FILE, PROXIES_FILE, ProxyReader
from model.runtime import OUTPUTS, Curves, Predictor
from model.weight_features import FEATURES, LAYER_STATISTICS
from model.weights import WEIGHTS_ARRAYS_FILE, WEIGHTS_FILE, WEIGHTS_OUTPUT, WeightsPredictor

Array = NDArray[np.floating]
Result = TypeVar("Result")


def check_predictor(predictor: Predictor) -> Curves:
    """Predict the curve of a network of one layer and return it.

    Raises:
        ArtifactError: when no curve with its interval comes out.
    """
    card = predictor.card
    codes = encode([{"type": "relu"}], card.layer_code, card.image).codes
    lengths = np.ones(1, dtype=np.int32)
    curves = _run("the model", lambda: predictor.run(codes[None], lengths, range(1, card.epochs + 1)))
    _check_curves(_outputs(curves, OUTPUTS), networks=1, epochs=card.epochs, scalar="distance")
    return curves


def check_continuation(continuation: Continuation, predictor: Predictor, curves: Curves) -> None:
    """Continue a curve with one observed epoch, and a complete one.

    Raises:
        ArtifactError: when its epochs differ from the predictor's, or no curves come out.
    """
    epochs = predictor.card.epochs
    if continuation.card.epochs != epochs:
        raise ArtifactError(f"{CONTINUATION_CARD_FILE} says {continuation.card.epochs} epochs, {CARD_FILE} {epochs}")
    observed = [[0.5], [0.5] * epochs]
    prior = np.repeat(curves.accuracy, len(observed), axis=0)
    continued = _run(CONTINUATION_FILE, lambda: continuation.run(observed, prior=prior, best=0.5))
    _check_curves(_outputs(continued, CONTINUATION_OUTPUTS), networks=len(observed), epochs=epochs, scalar="below")


def check_proxies(reader: ProxyReader, predictor: Predictor, curves: Curves) -> None:
    """Predict the curve of a network of one layer, one of whose scores is known.

    Raises:
        ArtifactError: when it was fitted to another predictor, or no curve comes out.
    """
    card = predictor.card
    if reader.card.predictor_sha256 != card.sha256:
        raise ArtifactError(f"{PROXIES_CARD_FILE} is of another predictor; refit it with `peephole fit-proxies`")
    codes = encode([{"type": "relu"}], card.layer_code, card.image).codes
    read = _run(PROXIES_FILE, lambda: reader.run([codes], [{reader.card.proxies[0]: 0.0}], curves))
    _check_curves(_outputs(read, OUTPUTS), networks=1, epochs=card.epochs, scalar="distance")


def check_weights(weights: WeightsPredictor) -> None:
    """Predict the accuracy of a network of one layer from its weights.

    Raises:
        ArtifactError: when none comes out.
    """
    layers, summary = [np.zeros((1, len(LAYER_STATISTICS)))], np.zeros((1, len(FEATURES)))
    accuracies = _run(WEIGHTS_FILE, lambda: weights.accuracies(layers, summary))
    _check_array(f"{WEIGHTS_FILE}: {WEIGHTS_OUTPUT}", accuracies, (1,))
    _check_array(f"{WEIGHTS_ARRAYS_FILE}: distance", weights.distance(summary), (1,))


def _run(what: str, call: Callable[[], Result]) -> Result:
    try:
        return call()
    except Exception as error:  # ONNX Runtime raises a different class for each status
        raise ArtifactError(f"{what} fails: {str(error).splitlines()[0][:300]}") from error


def _outputs(result: object, names: tuple[str, ...]) -> dict[str, Array]:
    return {name: getattr(result, name) for name in names}


def _check_curves(outputs: Mapping[str, Array], *, networks: int, epochs: int, scalar: str) -> None:
    """Check curves, their interval, and one further output with a number for each network."""
    for name, values in outputs.items():
        _check_array(name, values, (networks,) if name == scalar else (networks, epochs))
    lower, middle, upper = outputs["lower"], outputs["accuracy"], outputs["upper"]
    if not ((lower >= 0) & (lower <= middle) & (middle <= upper) & (upper <= 1)).all():
        raise ArtifactError("the curve of the warm-up check is not 0 <= lower <= accuracy <= upper <= 1")


def _check_array(name: str, values: Any, shape: tuple[int, ...]) -> None:
    if np.shape(values) != shape:
        raise ArtifactError(f"{name} has shape {list(np.shape(values))}, not {list(shape)}")
    if not np.isfinite(values).all():
        raise ArtifactError(f"{name} is not a finite number")
