"""Stored tasks: create, add observations, read them, delete."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from service.api.admission import INLINE_BYTES, Deadline, Owner, read_json_body, run
from service.errors import Problem
from service.state import ServiceDep
from service.tasks.reading import NAME, check_name, read_idempotency_key, read_observations, read_task
from service.tasks.schemas import AddedObservations, ObservationPage, StoredTaskDocument
from service.tasks.writing import CSV, JSON_LINES, choose_type, page_text, task_document
from store import Key

MAX_PAGE = 1000
MAX_CURSOR = 2**63 - 1

router = APIRouter(tags=["stored tasks"])


@router.put(
    "/tasks/{name}",
    operation_id="put_task",
    summary="Create a stored task",
    response_model=StoredTaskDocument,
    responses={201: {"model": StoredTaskDocument, "description": "Created"}},
)
async def put_task(
    request: Request,
    service: ServiceDep,
    owner: Owner,
    deadline: Deadline,
    name: Annotated[str, Path(json_schema_extra={"pattern": f"^{NAME}$"})],
) -> Response:
    """Create a task for a data set of your own, or change its description and prior.

    A task that is there with another `input`, and a loaded one, is a conflict.
    """
    check_name(name)
    if name in service.registry.models:
        raise Problem("conflict", "A loaded predictor has this name; choose another.")
    image, description, prior = read_task(await read_json_body(request, deadline), service.registry.models)
    request.scope["state"]["elsewhere"] = True
    put = service.store.put
    summary, is_new = await service.store_threads.run(deadline, put, Key(owner, name), image, description, prior)
    return Response(to_json(task_document(summary)), 201 if is_new else 200, media_type="application/json")


@router.post(
    "/tasks/{name}/observations",
    operation_id="post_observations",
    summary="Add measured networks to a stored task",
    response_model=AddedObservations,
)
async def post_observations(
    request: Request,
    service: ServiceDep,
    owner: Owner,
    deadline: Deadline,
    name: str,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Any name of this request: sent again, it gets the first response again.",
            json_schema_extra={"pattern": "^[!-~]{1,255}$"},
        ),
    ] = None,
) -> Response:
    """Add measured networks, all or none; what is answered with 200 is stored for good.

    Of the same network and seed, the first value is kept.
    """
    del idempotency_key  # read from the request, whose body belongs to it
    request.scope["state"]["elsewhere"] = True
    body = await read_json_body(request, deadline)
    once = read_idempotency_key(request, name, body)
    threads, key, settings = service.store_threads, Key(owner, name), service.settings
    image = await threads.run(deadline, service.store.image, key)
    limits = {"most": settings.max_architectures, "max_layers": settings.max_layers}
    new = await run(
        service, deadline, lambda: read_observations(body, image, **limits), inline=len(body) <= INLINE_BYTES
    )
    added = await threads.run(deadline, service.store.add, key, new, image, once)
    request.scope["state"]["sizes"]["networks"] = len(new)
    return Response(to_json(added), media_type="application/json")


@router.get(
    "/tasks/{name}/observations",
    operation_id="get_observations",
    summary="The measured networks of a stored task",
    response_model=ObservationPage,
    responses={200: {"content": {JSON_LINES: {}, CSV: {}}}},
)
async def get_observations(
    request: Request,
    service: ServiceDep,
    owner: Owner,
    deadline: Deadline,
    name: str,
    cursor: Annotated[str | None, Query(json_schema_extra={"pattern": "^[0-9]{1,18}$"})] = None,
    limit: Annotated[str | None, Query(json_schema_extra={"pattern": "^([1-9][0-9]{0,2}|1000)$"})] = None,
) -> Response:
    """Return a page of observations in the order in which they were added; the `Link` header leads to the next one.

    `Accept` chooses JSON, JSON Lines (`application/x-ndjson`) or CSV (`text/csv`).
    """
    after = _number("cursor", cursor, 0, MAX_CURSOR, default=0)
    most = _number("limit", limit, 1, MAX_PAGE, default=MAX_PAGE)
    kind = choose_type(request.headers.get("accept", ""))
    store = service.store

    def read() -> tuple[bytes, int | None]:
        page = store.page(Key(owner, name), after=after, limit=most)
        return page_text(page, kind), page.cursor

    text, following = await service.store_threads.run(deadline, read)
    headers = {"Vary": "Accept"}
    if following is not None:
        headers["Link"] = f'<?cursor={following}&limit={most}>; rel="next"'
    return Response(text, media_type=kind, headers=headers)


@router.delete("/tasks/{name}", operation_id="delete_task", summary="Delete a stored task", status_code=204)
async def delete_task(request: Request, service: ServiceDep, owner: Owner, deadline: Deadline, name: str) -> Response:
    """Delete a stored task and its observations."""
    request.scope["state"]["elsewhere"] = True
    await service.store_threads.run(deadline, service.store.delete, Key(owner, name))
    return Response(status_code=204)


def _number(name: str, text: str | None, least: int, most: int, *, default: int) -> int:
    """Return a query parameter.

    Raises:
        Problem: 400 when it is no integer of its range.
    """
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise Problem("bad-request", f"`{name}` must be an integer from {least} to {most}.")
    return int(text)
