"""What this service is: predictors, limits, versions; and what its problems mean."""

from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from service.models import Model
from service.problems import KINDS, Problem
from service.service import ServiceDep

router = APIRouter(tags=["about"])


class CodeInfo(BaseModel):
    """The code that a predictor reads: its layer types with their kernel sizes, its columns, its ratio bins."""

    name: str
    types: dict[str, list[int]]
    columns: list[str]
    channel_ratios: list[float]


class ModelInfo(BaseModel):
    """A loaded predictor: its card, its code, where it runs."""

    card: dict[str, Any]
    code: CodeInfo
    provider: str


class ProviderInfo(BaseModel):
    """Where predictors were asked to run, where they do, and why not where they were asked to."""

    requested: str
    used: str
    fallback: str | None


class ReloadInfo(BaseModel):
    """The last reload of the artifacts: `none` yet, `ok`, or `failed`, which keeps the predictors of before."""

    state: str
    at: str | None
    error: str | None


class Info(BaseModel):
    """The service, its predictors and the limits that every request is held to."""

    name: str
    version: str
    tasks: list[str]
    models: dict[str, ModelInfo]
    limits: dict[str, int]
    threads: int
    provider: ProviderInfo
    reload: ReloadInfo


class KindInfo(BaseModel):
    """What a kind of problem means and what to do about it."""

    type: str
    title: str
    status: int
    advice: str


def package_version() -> str:
    """Return the installed version of the package."""
    try:
        return version("peephole-nas")
    except PackageNotFoundError:
        return "0.0.0+source"


def _describe(model: Model) -> ModelInfo:
    code = model.card.layer_code
    types = {name: list(row.kernels or [1]) for name, row in code.rows.items()}
    return ModelInfo(
        card=model.card.model_dump(mode="json"),
        code=CodeInfo(name=code.name, types=types, columns=list(code.columns), channel_ratios=list(code.bins)),
        provider=model.predictor.provider,
    )


@router.get("/info", summary="Predictors, limits, versions")
async def info(service: ServiceDep) -> Info:
    """Return what is loaded and what a request may hold."""
    return Info(
        name="peephole",
        version=package_version(),
        tasks=list(service.models),
        models={task: _describe(model) for task, model in service.models.items()},
        limits=service.settings.limits(),
        threads=service.threads,
        provider=ProviderInfo(requested=service.settings.provider, used=service.provider, fallback=service.fallback),
        reload=ReloadInfo(**asdict(service.reloader.last)),
    )


@router.get("/problems/{slug}", summary="What a problem type means")
async def problem(slug: str) -> KindInfo:
    """Return the documentation that a problem's `type` links to."""
    if slug not in KINDS:
        raise Problem("not-found", f"The problem types are: {', '.join(KINDS)}.")
    kind = KINDS[slug]
    return KindInfo(type=f"/problems/{slug}", title=kind.title, status=kind.status, advice=kind.advice)
