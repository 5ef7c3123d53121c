"""Metrics for Prometheus."""

from fastapi import APIRouter, Request
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from service.service import ServiceDep

router = APIRouter(tags=["health"])


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(request: Request, service: ServiceDep) -> Response:
    """Return every metric in the form the scraper asks for."""
    service.refresh_metrics()
    try:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
    except (TypeError, ValueError):  # a version that is none
        encode, kind = choose_encoder("")
    return Response(encode(service.metrics.registry), headers={"Content-Type": kind})
