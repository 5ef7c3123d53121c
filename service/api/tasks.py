"""The tasks: what each predictor predicts, for people; and stored tasks."""

from time import monotonic
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from model.artifact import Card
from model.loaded import Model
from model.network.layer_types import LAYER_TYPES
from model.out_of_fold import Points
from service.errors import Problem
from service.state import Service, ServiceDep
from service.tasks.context import leave_one_out_tau
from service.tasks.schemas import StoredTaskDocument, StoredTaskSummary
from service.tasks.writing import summary_line, task_document
from store import Key

router = APIRouter(tags=["about"])


class TaskSummary(BaseModel):
    """A task in a line."""

    task: str
    description: str
    epochs: int = Field(description="Length of a predicted curve.")
    input: list[int] = Field(description="Channels, height and width of an image.")
    version: str


class Quality(BaseModel):
    """How well the predictor does on networks that it was not fitted to."""

    tau: float | None = Field(description="Kendall's tau of final accuracies, cross-validated.")
    tau_ceiling: float | None = Field(description="Tau of a second training run of the same network, where measured.")
    r2: float | None
    mean_absolute_error: float | None = Field(description="Over all epochs of the curve.")
    interval_level: float = Field(description="Nominal coverage of `lower` and `upper`.")
    interval_coverage: float | None = Field(description="Measured coverage.")
    out_of_fold: Points | None = Field(
        description="Final accuracies of at most 300 networks, measured and predicted by cross-validation, where kept."
    )


class SearchSpace(BaseModel):
    """The networks that the predictor was fitted to."""

    description: str | None
    layer_types: list[str] = Field(description="The types that it reads; networks of others are rejected.")
    layers: list[int] = Field(description="Layers of the shortest and of the longest network.")
    networks: int = Field(description="Networks in the training set.")


class Task(TaskSummary):
    """A task: what was measured, on which networks, with which training recipe, and how well it is predicted."""

    measured: str | None
    search_space: SearchSpace
    training_recipe: dict[str, Any] | None
    quality: Quality
    continues_curves: bool = Field(description="Whether `observed` and /stop work.")
    reads_proxies: list[str] = Field(description="The zero-cost scores that improve its predictions, if any.")
    reads_weights: bool = Field(description="Whether /predict-weights works.")
    limits: list[str]


def _summary(card: Card) -> TaskSummary:
    image = card.image
    return TaskSummary(
        task=card.task,
        description=card.description,
        epochs=card.epochs,
        input=[image.channels, image.height, image.width],
        version=card.version,
    )


def _task(model: Model) -> Task:
    card, about = model.card, model.card.about
    code, validated = card.layer_code, card.metrics.get("cross_validation", {})
    return Task(
        **_summary(card).model_dump(),
        measured=about.measured if about else None,
        search_space=SearchSpace(
            description=about.search_space if about else None,
            layer_types=list(code.kernels if code.is_paper else LAYER_TYPES),
            layers=list(card.layers),
            networks=card.training.get("networks", 0),
        ),
        training_recipe=about.training_recipe if about else None,
        quality=Quality(
            tau=validated.get("tau"),
            tau_ceiling=card.metrics.get("noise_ceiling", {}).get("tau"),
            r2=validated.get("r2"),
            mean_absolute_error=validated.get("curve_mae"),
            interval_level=card.interval_level,
            interval_coverage=validated.get("interval_coverage"),
            out_of_fold=model.points,
        ),
        continues_curves=model.continuation is not None,
        reads_proxies=list(model.proxies.card.proxies) if model.proxies else [],
        reads_weights=model.weights is not None,
        limits=list(about.limits) if about else [],
    )


@router.get("/tasks", summary="The tasks")
async def tasks(request: Request, service: ServiceDep) -> list[TaskSummary | StoredTaskSummary]:
    """Return a line for each loaded task, and for each stored one that belongs to the owner of the request's key.

    Stored tasks are left out while their database is not available.
    """
    loaded = [_summary(model.card) for model in service.registry.models.values()]
    owner = service.keys.owner(request.headers)
    if owner is None:
        return [*loaded]
    try:
        stored = await service.store_threads.run(_deadline(service), service.store.tasks, owner)
    except Problem:
        return [*loaded]
    return [*loaded, *map(summary_line, stored)]


@router.get("/tasks/{name}", summary="A task")
async def task(request: Request, service: ServiceDep, name: str) -> Task | StoredTaskDocument:
    """Return what a loaded task's predictions stand for, or what a stored one holds; that needs its owner's key."""
    if name in service.registry.models or not service.registry.models:
        return _task(service.registry.find(name))
    key = Key(service.keys.check(request.headers), name)
    try:
        deadline = _deadline(service)
        summary = await service.store_threads.run(deadline, service.store.summary, key)
        return task_document(summary, await leave_one_out_tau(service, key.owner, name, deadline))
    except Problem as problem:
        if problem.slug == "not-found":
            service.registry.find(name)  # raises with the tasks that there are
        raise


def _deadline(service: Service) -> float:
    return monotonic() + service.settings.max_deadline_ms / 1000
