"""What this service is: version, limits, provider; and what its problem types mean."""

from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, Request
from pydantic import BaseModel

from service.errors import PROBLEM_TYPES, Problem, problem_uri
from service.state import ServiceDep

router = APIRouter(tags=["about"])


class TaskVersion(BaseModel):
    """Which predictor a task has."""

    version: str
    sha256: str


class ProviderInfo(BaseModel):
    """Where predictors run: the setting, the device in use, and why `auto` fell back, if it did."""

    requested: str
    used: str
    fallback: str | None


class ReloadInfo(BaseModel):
    """The last reload of the artifacts: `none` yet, `ok`, or `failed`, which keeps what was loaded before."""

    state: str
    at: str | None
    error: str | None


class Info(BaseModel):
    """The service, and the limits of every request."""

    name: str
    version: str
    tasks: dict[str, TaskVersion]
    limits: dict[str, int]
    threads: int
    provider: ProviderInfo
    reload: ReloadInfo


class ProblemInfo(BaseModel):
    """What a problem type means and what to do about it."""

    type: str
    title: str
    status: int
    advice: str


def package_version() -> str:
    """Return the installed version of the package."""
    try:
        return version("peephole-service")
    except PackageNotFoundError:
        return "0.0.0+source"


@router.get("/info", summary="Version, limits, provider")
async def info(service: ServiceDep) -> Info:
    """Return what a request may hold, and where predictors run; GET /tasks says what they predict."""
    registry = service.registry
    cards = (model.card for model in registry.models.values())
    return Info(
        name="peephole",
        version=package_version(),
        tasks={card.task: TaskVersion(version=card.version, sha256=card.sha256) for card in cards},
        limits=service.settings.limits(),
        threads=service.threads,
        provider=ProviderInfo(requested=service.settings.provider, used=registry.provider, fallback=registry.fallback),
        reload=ReloadInfo(**asdict(service.reloader.last)),
    )


@router.get("/problems", summary="The problem types")
async def problems(request: Request) -> list[ProblemInfo]:
    """Return every type of problem that a response can have."""
    return [_describe(request, slug) for slug in PROBLEM_TYPES]


@router.get("/problems/{slug}", summary="What a problem type means")
async def problem(request: Request, slug: str) -> ProblemInfo:
    """Return the documentation that a problem's `type` links to."""
    if slug not in PROBLEM_TYPES:
        raise Problem("not-found", f"The problem types are: {', '.join(PROBLEM_TYPES)}.")
    return _describe(request, slug)


def _describe(request: Request, slug: str) -> ProblemInfo:
    kind = PROBLEM_TYPES[slug]
    return ProblemInfo(type=problem_uri(request, slug), title=kind.title, status=kind.status, advice=kind.advice)
