"""Prediction requests: what is asked, read from a body, and what is counted of it."""

from dataclasses import dataclass
from math import inf
from time import monotonic

from model.runtime import Curves
from service import quick
from service.aside import INLINE_BYTES, too_late
from service.continuing import check_observed
from service.envelope import read_fields, read_list, read_options
from service.metrics import Metrics
from service.models import Model, choose
from service.population import Population, read_population
from service.schemas import PredictOptions
from service.service import Service


@dataclass(frozen=True, slots=True)
class Call:
    """A prediction request that was read: which predictor, which epochs, which networks."""

    model: Model
    epochs: tuple[int, ...]
    population: Population


def look_up_call(body: bytes, service: Service) -> Call | None:
    """Read a prediction request of which every layer was met before, in time that its size bounds; else return `None`.

    Raises:
        Problem: 422 for the task or the epochs.
    """
    asked = quick.parse(body)
    if asked is None:
        return None
    model = choose(service.models, asked.task)
    epochs = model.epochs(asked.epochs)
    settings = service.settings
    population = quick.look_up(asked, model.vocabulary, most=settings.max_architectures, max_layers=settings.max_layers)
    if population is None:
        return None
    check_observed(population, model)
    return Call(model, epochs, population)


def read_call(body: bytes, service: Service, deadline: float = inf) -> Call:
    """Read and validate a prediction request.

    Raises:
        Problem: 400 or 422, with a pointer to each fault; 504 when the deadline passes meanwhile.
    """
    known = look_up_call(body, service)
    if known is not None:
        return known
    fields = read_fields(body)
    architectures = fields.pop("architectures", None)
    options = read_options(PredictOptions, fields)
    model = choose(service.models, options.task)
    epochs = model.epochs(options.epochs)
    texts = read_list(architectures, "architectures", most=service.settings.max_architectures)
    clamp = options.out_of_range == "clamp"
    max_layers = service.settings.max_layers
    population = read_population(texts, model.vocabulary, clamp=clamp, max_layers=max_layers, deadline=deadline)
    check_observed(population, model)
    return Call(model, epochs, population)


def read_here(body: bytes, service: Service, deadline: float) -> Call | None:
    """Read on the event loop what takes a millisecond or two; else return `None`.

    Raises:
        Problem: as `read_call`.
    """
    if monotonic() > deadline:
        raise too_late()
    call = look_up_call(body, service)
    if call is None and len(body) <= INLINE_BYTES:
        call = read_call(body, service, deadline)
    return call


def count(metrics: Metrics, times: dict[str, float], call: Call, curves: Curves) -> None:
    """Count an answer, given the times of its stages, in seconds."""
    metrics.validate_seconds.observe(times["validate"])
    metrics.encode_seconds.observe(times["encode"])
    metrics.count(call.model.card, map(len, call.population.codes), curves.distance)
