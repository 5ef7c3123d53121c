"""`/`, its files, and what only the page needs of the service."""

from pathlib import Path

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from model.network.layer_types import LAYER_TYPES
from model.network.schema import FIELDS
from service.api.admission import INLINE_BYTES, Deadline, read_json_body, run
from service.errors import Problem
from service.state import ServiceDep
from service.web.drawing import draw
from service.web.examples import MAX_SAMPLED, examples, sampled

MAX_SEED = 2**32 - 1
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = {file.name: file.read_bytes() for file in sorted((Path(__file__).parent / "assets").iterdir())}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> Response:
    """Return the page."""
    return _file("index.html")


@router.get("/web/start")
async def start(service: ServiceDep) -> Response:
    """Return what the page begins with: examples, the fields of each layer type, which types merge, the limits."""
    merges = [name for name, row in LAYER_TYPES.items() if row.is_merge]
    limits = service.settings.limits()
    content = {"examples": examples(), "fields": FIELDS, "merges": merges, "limits": limits}
    return Response(to_json(content), media_type="application/json")


@router.get("/web/sampled")
async def sample(service: ServiceDep, deadline: Deadline, seed: str = "0", count: str = "1") -> Response:
    """Return sampled networks, in the form of a request's `architectures`."""
    numbers = _whole("seed", seed, MAX_SEED), _whole("count", count, MAX_SAMPLED)
    found = await run(service, deadline, sampled, *numbers, inline=False)
    return Response(to_json(found), media_type="application/json")


@router.post("/web/layers")
async def layers(request: Request, service: ServiceDep, deadline: Deadline) -> Response:
    """Return shape and costs of each layer of a network."""
    body = await read_json_body(request, deadline)
    found = await run(service, deadline, draw, body, service.settings.max_layers, inline=len(body) <= INLINE_BYTES)
    return Response(to_json(found), media_type="application/json")


@router.get("/web/{name}")
async def file(name: str) -> Response:
    """Return a file of the page."""
    if name not in FILES:
        raise Problem("not-found", "The page has no such file.")
    return _file(name)


def _whole(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 12 and int(text) <= most):
        raise Problem("bad-request", f"`{name}` must be an integer from 0 to {most}.")
    return int(text)


def _file(name: str) -> Response:
    return Response(FILES[name], media_type=TYPES[Path(name).suffix], headers=HEADERS)
