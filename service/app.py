"""The application: `create_app(settings)` returns it, its lifespan loads the predictors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from service.direct import Direct
from service.edge import Edge
from service.openapi import describe
from service.problems import Problem, on_http_exception, on_problem
from service.routes import health, info, metrics, oip, predict, stop, weights
from service.service import Service
from service.settings import Settings
from service.tracing import tracing

ROUTES = (predict, stop, weights, oip, info, health, metrics)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    service.start()
    yield
    await service.stop()


def _operation_id(route: APIRoute) -> str:
    return route.path_format.strip("/").replace("/", "_").replace("{", "").replace("}", "") or "root"


def _direct(service: Service) -> dict[tuple[str, str], Direct]:
    """Return the endpoints that skip the router, by method and path."""
    (route,) = (route for route in predict.router.routes if isinstance(route, APIRoute))
    return {("POST", route.path): Direct(route, predict.predict, service)}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return a new application; nothing is shared between two of them."""
    settings = settings or Settings()
    service = Service(settings)
    handlers: dict[Any, Any] = {Problem: on_problem, HTTPException: on_http_exception}
    app = FastAPI(
        title="Peephole",
        summary="Predicts the learning curves of convolutional networks before they are trained.",
        version=info.package_version(),
        lifespan=_lifespan,
        exception_handlers=handlers,
        middleware=[Middleware(Edge, metrics=service.metrics, ledger=service.ledger, direct=_direct(service))],
        telemetry=tracing(settings),
        generate_unique_id_function=_operation_id,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    for module in ROUTES:
        app.include_router(module.router)
    describe(app)
    return app
