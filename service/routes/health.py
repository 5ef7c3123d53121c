"""Probes: is the process alive, does it answer predictions."""

from fastapi import APIRouter
from starlette.responses import JSONResponse

from service.problems import RETRY, Problem
from service.service import ServiceDep

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Is the process alive")
@router.get("/healthz", summary="The same as /livez")
async def livez(service: ServiceDep) -> JSONResponse:
    """Answer 200 while the process can answer or will; 503 when only a restart helps."""
    if service.failure is not None:
        raise Problem("unavailable", service.failure, headers=RETRY)
    return JSONResponse({"status": "alive"})


@router.get("/readyz", summary="Will a prediction be answered")
async def readyz(service: ServiceDep) -> JSONResponse:
    """Answer 200 when predictions are answered, 503 with the reasons while they are not."""
    reasons = service.reasons()
    if reasons:
        raise Problem("unavailable", "; ".join(reasons), headers=RETRY, reasons=reasons)
    return JSONResponse({"status": "ready"})
