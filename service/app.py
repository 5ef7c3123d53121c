"""The application: `create_app(settings)` returns it; its lifespan starts the threads and loads the predictors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from service.api import health, inference_protocol, info, predict, stop, tasks, weights
from service.api.openapi import describe
from service.errors import EXCEPTION_HANDLERS
from service.middleware import RequestMiddleware
from service.observability.tracing import tracing
from service.settings import Settings
from service.state import Service
from service.tasks import fits
from service.tasks import routes as stored_tasks
from service.web import routes as web

ROUTERS = (predict, stop, weights, tasks, stored_tasks, fits, info, health, inference_protocol)
COMPRESS_BYTES = 1024
COMPRESS_LEVEL = 1  # the curves of many networks shrink to a quarter; higher levels take longer than the prediction


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    await service.start()
    yield
    await service.stop()


def _operation_id(route: APIRoute) -> str:
    return route.path_format.strip("/").replace("/", "_").replace("{", "").replace("}", "") or "root"


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return a new application; nothing is shared between two of them."""
    settings = settings or Settings()
    service = Service(settings)
    middleware = [Middleware(RequestMiddleware, service=service)]
    if settings.cors_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=["X-Request-ID", "Retry-After", "Server-Timing", "Link"],
            )
        )
    middleware.append(Middleware(GZipMiddleware, minimum_size=COMPRESS_BYTES, compresslevel=COMPRESS_LEVEL))
    app = FastAPIOffline(
        title="Peephole",
        summary="Predicts the learning curves of convolutional networks before they are trained.",
        version=info.package_version(),
        lifespan=_lifespan,
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=middleware,
        telemetry=tracing(settings),
        generate_unique_id_function=_operation_id,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    modules = (*ROUTERS, web) if settings.playground else ROUTERS
    app.state.routes = [route for module in modules for route in module.router.routes]
    for module in modules:
        app.include_router(module.router)
    describe(app)
    return app
