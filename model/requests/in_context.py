"""Predictions for a data set of the client's own: a request brings measured networks as its context."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..context import ContextModel, Evidence, evenly, most_likely_first
from ..encoding.features import FEATURES
from ..encoding.graph_features import is_graph
from ..encoding.hand_features import ALL_FEATURES, every_feature
from ..encoding.layer_cache import LayerCache
from ..encoding.layer_code import EXTENDED
from ..ensemble import Ensemble
from ..loaded import Model
from ..network.faults import Fault, pointer
from ..network.graph import NetworkError
from ..network.schema import Layer
from ..network.shapes import Shape
from ..neural_process import NeuralProcess, shipped_process
from ..ranking import Ranking
from ..runtime import OUTPUTS, Curves
from ..score_scale import ScoreScale
from .curves import every_epoch, untrained_curves
from .errors import InvalidRequestError
from .networks import Networks, choose_epochs, encode_all, proxies_of, reject_computing
from .predict import predictions
from .schema import Measured, PredictRequest
from .tradeoffs import TradeOffs, read_trade_offs

AUTO = "auto"
KEPT = 32  # context models
MOST_TO_CHOOSE_BY = 100  # networks of a context that decide on its prior
DEFAULT_EPOCHS = (1,)  # of a single accuracy
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class KnownContext:
    """A context that a model was fitted to.

    Attributes:
        model: of the context, with the scores that all of its networks have.
        plain: the same without scores; `None` where there are none.
        scale: of the scores.
        prior: the predictor that it builds on, if it has one.
        process: predicts final accuracies from all hand features of networks, if there is one.
        image: what its networks read.
        features: names of the hand features that it is described by; those of graphs only where there are graphs.
        networks: how many it has.
        layers: of its shortest and longest network.
    """

    model: ContextModel
    plain: ContextModel | None
    scale: ScoreScale
    prior: Model | None
    process: Callable[[Floats], Floats] | None
    image: Shape
    features: tuple[str, ...]
    networks: int
    layers: tuple[int, int]


class InContext:
    """Answers requests with a context; models of the latest contexts are kept. Safe to use from several threads."""

    def __init__(self, read_process: Callable[[], NeuralProcess | None] = shipped_process) -> None:
        """Start without a context.

        Args:
            read_process: returns the neural process to build on, or `None`; called when a context is fitted.
        """
        self._read_process = read_process
        self._layers = LayerCache(EXTENDED)
        self._known: dict[bytes, KnownContext] = {}  # the one that was used last is last
        self._lock = Lock()

    def tau(self, document: PredictRequest, models: Mapping[str, Model], *, max_layers: int) -> float:
        """Return the tau of a request's context, without its architectures; see `answer`."""
        accuracies = _accuracies(document["context"])
        return self._context(document, _image(document), accuracies, _priors(document, models), max_layers).model.tau

    def answer(
        self, document: PredictRequest, models: Mapping[str, Model], *, max_architectures: int, max_layers: int
    ) -> tuple[dict[str, Any], Networks]:
        """Return the response without its request id, and the networks that it is about.

        Args:
            document: with a context.
            models: loaded predictors by task; any may be the prior.
            max_architectures: the most in a request.
            max_layers: the most in an architecture.

        Raises:
            InvalidRequestError: with a pointer to each fault.
        """
        reject_computing(document)
        image = _image(document)
        accuracies = _accuracies(document["context"])
        priors = _priors(document, models)
        known = self._context(document, image, accuracies, priors, max_layers)
        epochs = _epochs(document, accuracies.shape[1])
        networks = encode_all(
            document["architectures"], self._layers, image, max_architectures=max_architectures, max_layers=max_layers
        )
        known_names = set().union(*(one.get("proxies", {}) for one in document["context"]))
        scores = proxies_of(document["architectures"], known.scale.names, known=known_names)
        ranking = Ranking(document.get("rank_by", "mean"), document.get("out_of_distribution", "keep"))
        curves = self._predict(known, networks, [one["layers"] for one in document["architectures"]], scores)
        if accuracies.shape[1] > 1:
            index = np.asarray(epochs) - 1
            curves = Curves(curves.accuracy[:, index], curves.lower[:, index], curves.upper[:, index], curves.distance)
        trade_offs: TradeOffs = read_trade_offs(document, networks.costs)
        found = predictions(networks, epochs, curves, ranking, trade_offs, threshold=1.0, layers=known.layers)
        about = {
            "prior": known.prior and known.prior.card.task,
            "networks": known.networks,
            "tau": round(known.model.tau, 4),
            "proxies": list(known.scale.names),
        }
        return {"model": about, "epochs": epochs, "predictions": found}, networks

    def _context(
        self,
        document: PredictRequest,
        image: Shape,
        accuracies: Floats,
        priors: Mapping[str | None, Model | None],
        max_layers: int,
    ) -> KnownContext:
        context = document["context"]
        versions = [prior and prior.card.sha256 for prior in priors.values()]
        scores = [one.get("proxies", {}) for one in context]
        content = [one["layers"] for one in context], scores, accuracies.tolist(), image, versions
        key = sha256(repr(content).encode()).digest()
        with self._lock:
            if key in self._known:
                self._known[key] = known = self._known.pop(key)
                return known
        networks = encode_all(
            context, self._layers, image, field="context", max_architectures=len(context), max_layers=max_layers
        )
        known = self._fit(context, networks, image, accuracies, priors)
        with self._lock:
            self._known[key] = known
            if len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
        return known

    def _fit(
        self,
        context: Sequence[Measured],
        networks: Networks,
        image: Shape,
        accuracies: Floats,
        priors: Mapping[str | None, Model | None],
    ) -> KnownContext:
        """Choose the prior that is likeliest beside the neural process, and fit."""
        described = every_feature(networks.codes, image)
        names = ALL_FEATURES if any(is_graph(codes[None]).any() for codes in networks.codes) else FEATURES
        scale = ScoreScale.of([one.get("proxies", {}) for one in context])
        features = described[:, : len(names)]
        with_scores = np.hstack([features, scale([one.get("proxies", {}) for one in context])])
        process, final = self._read_process(), accuracies[:, -1]
        left_out = process.leave_one_out(described, final)[:, None] if process else np.zeros((len(context), 0))
        layers = [one["layers"] for one in context]
        chosen, before = _choose(priors, layers, with_scores, left_out, accuracies, (*names, *scale.names))
        guesses = np.hstack([before, left_out])
        model = ContextModel.fit(
            Evidence(with_scores, guesses), accuracies, _spread(priors[chosen], (*names, *scale.names))
        )
        plain = None
        if scale.names:
            plain = ContextModel.fit(Evidence(features, guesses), accuracies, _spread(priors[chosen], names))
        reading = partial(process.predict, described, final) if process else None
        lengths = [len(codes) for codes in networks.codes]
        return KnownContext(
            model, plain, scale, priors[chosen], reading, image, names, len(context), (min(lengths), max(lengths))
        )

    def _predict(
        self,
        known: KnownContext,
        networks: Networks,
        layers: Sequence[list[Layer]],
        scores: Mapping[int, Mapping[str, float]],
    ) -> Curves:
        """Predict networks; those that lack a score which the whole context has are predicted without scores."""
        try:
            guesses = _guesses(known.prior, layers)
        except NetworkError as error:
            detail = f"the images of the prior's task are too small for one of them: {error}; choose another `prior`"
            raise InvalidRequestError(Fault("/architectures", "impossible", detail)) from None
        described = every_feature(networks.codes, known.image)
        if known.process is not None:
            guesses = np.hstack([guesses, known.process(described)[:, None]])
        features = described[:, : len(known.features)]
        if known.plain is None:
            return known.model.predict(Evidence(features, guesses))
        curves = known.plain.predict(Evidence(features, guesses))
        rows = [row for row, one in scores.items() if all(name in one for name in known.scale.names)]
        if not rows:
            return curves
        with_scores = np.hstack([features[rows], known.scale([scores[row] for row in rows])])
        found = known.model.predict(Evidence(with_scores, guesses[rows]))
        for name in OUTPUTS:
            getattr(curves, name)[rows] = getattr(found, name)
        return curves


def _image(document: PredictRequest) -> Shape:
    faults = []
    if "input" not in document:
        detail = "`input` is missing: [channels, height, width] of the images that the context was measured on"
        faults.append(Fault("/input", "missing", detail))
    if document.get("task") is not None:
        faults.append(Fault("/task", "excluded", "leave it out: predictions are for what the context was measured on"))
    if document.get("version") is not None:
        faults.append(Fault("/version", "excluded", "leave it out: the context is the version"))
    observed = [index for index, one in enumerate(document["architectures"]) if one.get("observed") is not None]
    if observed:
        where = pointer("architectures", observed[0], "observed")
        faults.append(Fault(where, "unsupported", "curves are not continued in context"))
    if faults:
        raise InvalidRequestError(*faults)
    return Shape(*document["input"])


def _accuracies(context: Sequence[Measured]) -> Floats:
    """Return the measured accuracies [networks, epochs]."""
    curves = [one["accuracy"] if isinstance(one["accuracy"], list) else [one["accuracy"]] for one in context]
    length = len(curves[0])
    for index, curve in enumerate(curves):
        if len(curve) != length:
            detail = f"has {len(curve)} epochs, that of the first network {length}; all have as many"
            raise InvalidRequestError(Fault(pointer("context", index, "accuracy"), "unequal", detail))
    return np.array(curves)


def _epochs(document: PredictRequest, last: int) -> tuple[int, ...]:
    """Return the epochs to predict; a single accuracy is of the one epoch that the request names."""
    epochs = document.get("epochs")
    if last > 1:
        return choose_epochs(epochs, last, "the context's curves")
    if epochs is None:
        return DEFAULT_EPOCHS
    named = (epochs,) if isinstance(epochs, int) else tuple(epochs)
    if len(named) > 1:
        detail = "the context has one accuracy a network: name the one epoch that it is of"
        raise InvalidRequestError(Fault("/epochs", "too-long", detail))
    return named


def _priors(document: PredictRequest, models: Mapping[str, Model]) -> dict[str | None, Model | None]:
    """Return the predictors that may be the prior, by task; `None` is none."""
    named = document.get("prior", AUTO)
    able: dict[str | None, Model | None] = {
        task: model for task, model in models.items() if isinstance(model.predictor.family, Ensemble)
    }
    if named is None:
        return {None: None}
    if named == AUTO:
        return {None: None} | able
    if named not in able:
        raise InvalidRequestError(
            Fault("/prior", "unknown-task", f"must be one of: {', '.join([AUTO, *models])}; or null for none")
        )
    return {named: able[named]}


def _choose(
    priors: Mapping[str | None, Model | None],
    layers: Sequence[list[Layer]],
    features: Floats,
    left_out: Floats,
    accuracies: Floats,
    names: tuple[str, ...],
) -> tuple[str | None, Floats]:
    """Return the prior under which a context is likeliest, and what it predicts of the context [networks, 1].

    A prior whose images are too small for a network of the context is passed over. A part of a large context decides.

    Args:
        priors: by task.
        layers: of the context's networks.
        features: of these, named by `names` [networks, names].
        left_out: what the neural process predicts of each from the others [networks, 0 or 1].
        accuracies: measured [networks, epochs].
        names: of the features.

    Raises:
        InvalidRequestError: when the only prior is passed over.
    """
    part = evenly(len(layers), MOST_TO_CHOOSE_BY)
    order: list[str | None] = list(priors)
    if len(priors) > 1:
        found = {}
        for name, prior in priors.items():
            with suppress(NetworkError):
                found[name] = _guesses(prior, [layers[place] for place in part])
        candidates = [
            (Evidence(features[part], np.hstack([one, left_out[part]])), _spread(priors[name], names))
            for name, one in found.items()
        ]
        order = [list(found)[place] for place in most_likely_first(candidates, accuracies[part])]
    for name in order:
        try:
            return name, _guesses(priors[name], layers)
        except NetworkError as error:
            reason = str(error)
    detail = f"its images are too small for a network of the context: {reason}"
    raise InvalidRequestError(Fault("/prior", "impossible", detail))


def _guesses(prior: Model | None, layers: Sequence[list[Layer]]) -> Floats:
    """Return the final accuracies that a prior predicts, on images of its own task [networks, 1]; of none, nothing."""
    if prior is None:
        return np.zeros((len(layers), 0))
    codes = [prior.layers.encode(one, prior.card.image).codes for one in layers]
    return untrained_curves(prior, codes, every_epoch(prior)).accuracy[:, -1:]


def _spread(prior: Model | None, names: tuple[str, ...]) -> Floats | None:
    """Return the spread of features in the prior's training set; NaN where it does not know one."""
    if prior is None or not isinstance(prior.predictor.family, Ensemble):
        return None
    scaler = prior.predictor.family.scaler
    known = dict(zip(scaler.names, scaler.spread.tolist(), strict=True))
    return np.array([known.get(name, np.nan) for name in names])
