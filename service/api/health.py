"""Probes and metrics: is the process alive, does it serve predictions, how is it doing."""

from fastapi import APIRouter, Request
from prometheus_client.exposition import choose_encoder
from starlette.responses import JSONResponse, Response

from service.errors import RETRY_SOON, Problem
from service.state import ServiceDep

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Is the process alive")
@router.get("/healthz", summary="The same as /livez")
async def livez(service: ServiceDep) -> JSONResponse:
    """Answer 200 while the process works; 503 while a thread is stalled, and when only a restart helps."""
    if reason := service.failure or service.supervisor.stalled:
        raise Problem("unavailable", reason, headers=RETRY_SOON)
    return JSONResponse({"status": "alive"})


@router.get("/readyz", summary="Are predictions served")
async def readyz(service: ServiceDep) -> JSONResponse:
    """Answer 200 when predictions are served, 503 with the reasons when they are not."""
    if reasons := service.not_ready():
        raise Problem("unavailable", "; ".join(reasons), headers=RETRY_SOON, reasons=reasons)
    return JSONResponse({"status": "ready"})


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(request: Request, service: ServiceDep) -> Response:
    """Return every metric in the format that the scraper accepts."""
    await service.refresh_metrics()
    try:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
    except (TypeError, ValueError):  # a malformed version
        encode, kind = choose_encoder("")
    return Response(encode(service.metrics.registry), headers={"Content-Type": kind})
