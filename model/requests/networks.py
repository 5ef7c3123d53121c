"""The networks of a request, encoded for one predictor."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoding.layer_cache import LayerCache
from ..loaded import Model
from ..network.faults import Fault, pointer
from ..network.graph import Costs, NetworkError
from ..network.schema import Layer
from ..network.shapes import Shape
from ..proxies.names import SCORES
from .errors import MAX_FAULTS, InvalidRequestError

Ints = NDArray[np.int32]
_NO_SCORE = "is no score that is known here: those of `peephole proxies`, of the predictor, or of the whole context"
_NOT_COMPUTED = (
    "scores are computed by a service only, and for shipped tasks only; measure them with `peephole proxies`, and send "
    "them with the architectures"
)
_CLASSIFIER = "the classifier is not listed, leave it out"


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of a request, in its order.

    Attributes:
        ids: the client's names.
        known: indices of those whose layers are given: all but some of /stop's runs.
        codes: int32 [layers, columns], one for each of `known`.
        costs: one for each of `known`.
        notes: what the client should know, one list for each of `known`.
        observed: accuracies seen so far, by index of the network; absent where there are none.
        proxies: zero-cost scores that the predictor reads, by index of the network; absent where there are none.
    """

    ids: list[str | None]
    known: list[int]
    codes: list[Ints]
    costs: list[Costs]
    notes: list[list[str]]
    observed: dict[int, list[float]]
    proxies: dict[int, Mapping[str, float]] = field(default_factory=dict)


def encode_networks(
    architectures: Sequence[Mapping[str, Any]],
    model: Model,
    *,
    image: Shape | None = None,
    max_architectures: int,
    max_layers: int,
) -> Networks:
    """Encode validated architectures.

    Args:
        architectures: objects with `layers`, `id`, `in_channels`, `observed` and `proxies`, as far as given.
        model: the predictor.
        image: what the networks read; the task's when absent.
        max_architectures: the most in a request.
        max_layers: the most in an architecture.

    Raises:
        InvalidRequestError: with a pointer to each fault.
    """
    networks = encode_all(
        architectures,
        model.layers,
        image or model.card.image,
        classes=model.card.classes,
        max_architectures=max_architectures,
        max_layers=max_layers,
    )
    read = model.proxies.card.proxies if model.proxies is not None else ()
    proxies = proxies_of(architectures, read)
    return replace(networks, observed=_observed_of(architectures, model), proxies=proxies)


def encode_all(
    architectures: Sequence[Mapping[str, Any]],
    layer_cache: LayerCache,
    image: Shape,
    *,
    classes: int | None = None,
    field: str = "architectures",
    max_architectures: int,
    max_layers: int,
) -> Networks:
    """Encode validated architectures; what was observed of them is left out.

    Args:
        architectures: objects with `layers`, `id` and `in_channels`, as far as given.
        layer_cache: of the layer code.
        image: what the networks read.
        classes: of the data set, where they are known.
        field: of the request, for pointers.
        max_architectures: the most in a request.
        max_layers: the most in an architecture.

    Raises:
        InvalidRequestError: with a pointer to each fault.
    """
    check_ids(architectures, max_architectures, field)
    faults: list[Fault] = []
    known, codes, costs, notes = [], [], [], []
    for index, architecture in enumerate(architectures):
        if len(faults) > MAX_FAULTS:
            break
        path = (field, index)
        faults += _check_in_channels(architecture, index, image)
        layers: list[Layer] | None = architecture.get("layers")
        if layers is None:
            continue
        if len(layers) > max_layers:
            detail = f"{len(layers)} layers are more than the limit of {max_layers}"
            faults.append(Fault(pointer(*path, "layers"), "too-long", detail))
            continue
        try:
            encoding = layer_cache.encode(layers, image)
        except NetworkError as error:
            places = [(pointer(*path, "layers", one.layer, one.field), one.message) for one in error.faults]
            faults += [Fault(place, "impossible", message) for place, message in places]
            continue
        known.append(index)
        codes.append(encoding.codes)
        costs.append(encoding.costs)
        notes.append(encoding.notes + _classifier_listed(layers, classes))
    if faults:
        raise InvalidRequestError(*faults)
    ids = [architecture.get("id") for architecture in architectures]
    return Networks(ids, known, codes, costs, notes, {})


def proxies_of(
    architectures: Sequence[Mapping[str, Any]], read: Collection[str], *, known: Collection[str] = ()
) -> dict[int, Mapping[str, float]]:
    """Return the scores of the networks that have any of those that are read, by index.

    Args:
        architectures: objects that may have `proxies`.
        read: names of the scores that are read.
        known: names that are known beside these and Peephole's own.

    Raises:
        InvalidRequestError: with a pointer to each score of an unknown name.
    """
    found: dict[int, Mapping[str, float]] = {}
    faults: list[Fault] = []
    for index, one in enumerate(architectures):
        scores = one.get("proxies") or {}
        unknown = [name for name in scores if name not in read and name not in SCORES and name not in known]
        where = ("architectures", index, "proxies")
        faults += [Fault(pointer(*where, name), "unknown-value", _NO_SCORE) for name in unknown]
        if any(name in scores for name in read):
            found[index] = scores
    if faults:
        raise InvalidRequestError(*faults[:MAX_FAULTS])
    return found


def reject_computing(document: Mapping[str, Any]) -> None:
    """Reject a request for scores to be computed; a service carries it out before, where it can.

    Raises:
        InvalidRequestError: where there is one.
    """
    if "proxies" in document:
        raise InvalidRequestError(Fault("/proxies", "unsupported", _NOT_COMPUTED))


def check_ids(architectures: Sequence[Mapping[str, Any]], most: int, field: str = "architectures") -> None:
    """Check the number of architectures, and that no two have the same id.

    Raises:
        InvalidRequestError: otherwise.
    """
    if len(architectures) > most:
        raise InvalidRequestError(
            Fault(pointer(field), "too-long", f"{len(architectures)} are more than the limit of {most}")
        )
    seen: set[str] = set()
    for index, architecture in enumerate(architectures):
        name = architecture.get("id")
        if name is not None and name in seen:
            where = pointer(field, index, "id")
            raise InvalidRequestError(Fault(where, "duplicate", f"another of the request's {field} has this id"))
        if name is not None:
            seen.add(name)


def _check_in_channels(architecture: Mapping[str, Any], index: int, image: Shape) -> list[Fault]:
    """Return the fault of an architecture that is made for other images."""
    if architecture.get("in_channels") in (None, image.channels):
        return []
    where = pointer("architectures", index, "in_channels")
    return [Fault(where, "impossible", f"the images have {image.channels} channels")]


def _classifier_listed(layers: Sequence[Layer], classes: int | None) -> list[str]:
    """Return a note when the last layer looks like the classifier, which is not listed."""
    last = layers[-1]
    if last["type"] != "linear" or last["out_features"] != classes:
        return []
    return [f"the last layer is linear to {classes} features, as many as the task has classes; {_CLASSIFIER}"]


def _observed_of(architectures: Sequence[Mapping[str, Any]], model: Model) -> dict[int, list[float]]:
    """Return the accuracies seen so far, by index.

    Raises:
        InvalidRequestError: when the task cannot continue curves, or one is longer than the task's.
    """
    observed = {
        index: architecture["observed"]
        for index, architecture in enumerate(architectures)
        if architecture.get("observed") is not None
    }
    if not observed:
        return {}
    task, most = model.card.task, model.card.epochs
    continuation = model.continuation
    detail = None
    if continuation is None:
        detail = f"task {task} cannot continue curves; fit that with `peephole fit-continuation`"
    elif continuation.card.predictor_sha256 != model.card.sha256:
        detail = (
            f"the continuation of task {task} belongs to another predictor; refit it with `peephole fit-continuation`"
        )
    if detail is not None:
        raise InvalidRequestError(
            Fault(pointer("architectures", next(iter(observed)), "observed"), "unsupported", detail)
        )
    too_long = [
        Fault(pointer("architectures", index, "observed"), "too-long", f"{len(curve)} epochs; a curve has {most}")
        for index, curve in observed.items()
        if len(curve) > most
    ]
    if too_long:
        raise InvalidRequestError(*too_long)
    return observed


def choose_epochs(requested: int | Sequence[int] | None, last: int, task: str) -> tuple[int, ...]:
    """Return the epochs to predict, of curves of so many epochs; `task` says in messages whose.

    Raises:
        InvalidRequestError: when there is none, or one is outside the curve or repeated.
    """
    if requested is None:
        return tuple(range(1, last + 1))
    is_single = isinstance(requested, int)
    epochs = (requested,) if isinstance(requested, int) else tuple(requested)
    faults = [] if epochs else [Fault("/epochs", "too-short", "must hold at least one element")]
    seen: set[int] = set()
    for index, epoch in enumerate(epochs):
        where = pointer("epochs") if is_single else pointer("epochs", index)
        if not 1 <= epoch <= last:
            faults.append(Fault(where, "out-of-range", f"must be 1 to {last} for {task}"))
        elif epoch in seen:
            faults.append(Fault(where, "duplicate", "each epoch may be listed once"))
        seen.add(epoch)
        if len(faults) > MAX_FAULTS:
            break
    if faults:
        raise InvalidRequestError(*faults)
    return epochs
