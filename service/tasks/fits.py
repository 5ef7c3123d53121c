"""Background fits of stored tasks, and the versions that they publish."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from model.network.schema import MIN_FIT
from service.api.admission import Deadline, Owner, read_json_body
from service.errors import Problem, problem_of
from service.state import ServiceDep
from service.tasks.reading import NAME, read_idempotency_key
from service.tasks.schemas import (
    POST_FIT,
    PUT_VERSION,
    FitDocument,
    FitsDocument,
    PostFit,
    PutVersion,
    VersionsDocument,
)
from service.tasks.writing import fit_document, versions_document
from store import Key

NOT_THERE = "The task has no fit of this id; old ones are forgotten."
LONGEST_ID = 18  # digits

router = APIRouter(tags=["stored tasks"])
TaskName = Annotated[str, Path(json_schema_extra={"pattern": f"^{NAME}$"})]


@router.post(
    "/tasks/{name}/fits",
    operation_id="post_fit",
    summary="Queue a background fit of a stored task",
    status_code=202,
    response_model=FitDocument,
)
async def post_fit(request: Request, service: ServiceDep, owner: Owner, deadline: Deadline, name: TaskName) -> Response:
    """Queue a fit, which a `peephole worker` carries out; what waits already is returned.

    The fitted predictor is published when it predicts better, out of fold, than the context model.
    """
    request.scope["state"]["elsewhere"] = True
    body = await read_json_body(request, deadline)
    try:
        POST_FIT.validate_json(body)
    except ValidationError as error:
        raise problem_of(error, PostFit) from None
    once, key, threads = read_idempotency_key(request, name, body), Key(owner, name), service.store_threads
    held = await threads.run(deadline, service.store.summary, key)
    if held.networks < MIN_FIT:
        detail = f"The task has {held.networks} networks; a fit needs {MIN_FIT}."
        raise Problem("conflict", detail, networks=held.networks)
    if held.task.image.height != held.task.image.width:
        raise Problem("conflict", "A fit needs square images; those of the task are not.")
    fit, _ = await threads.run(deadline, service.store.fits.enqueue, key, once and once.key)
    document, headers = fit_document(fit), {"Location": f"fits/{fit.id}"}
    return Response(to_json(document), 202, headers=headers, media_type="application/json")


@router.get("/tasks/{name}/fits", operation_id="get_fits", summary="The background fits of a stored task")
async def get_fits(service: ServiceDep, owner: Owner, deadline: Deadline, name: TaskName) -> FitsDocument:
    """Return the fits that wait or run and the last ones that ended, the newest first."""
    found = await service.store_threads.run(deadline, service.store.fits.list, Key(owner, name))
    return FitsDocument(fits=list(map(fit_document, found)))


@router.get("/tasks/{name}/fits/{id}", operation_id="get_fit", summary="A background fit")
async def get_fit(
    service: ServiceDep,
    owner: Owner,
    deadline: Deadline,
    name: TaskName,
    id: Annotated[str, Path(json_schema_extra={"pattern": "^[1-9][0-9]{0,17}$"})],  # noqa: A002 - the path's name
) -> FitDocument:
    """Return how a fit stands: its state, its progress, its log and, when it is done, its result."""
    if not (id.isascii() and id.isdecimal() and len(id) <= LONGEST_ID):
        raise Problem("not-found", NOT_THERE)
    return fit_document(await service.store_threads.run(deadline, service.store.fits.find, Key(owner, name), int(id)))


@router.get("/tasks/{name}/versions", operation_id="get_versions", summary="The versions of a stored task")
async def get_versions(service: ServiceDep, owner: Owner, deadline: Deadline, name: TaskName) -> VersionsDocument:
    """Return the published versions, and which of them predicts."""
    found = await service.store_threads.run(deadline, service.store.versions.list, Key(owner, name))
    return versions_document(found)


@router.put(
    "/tasks/{name}/version",
    operation_id="put_version",
    summary="Choose the version of a stored task",
    response_model=VersionsDocument,
)
async def put_version(
    request: Request, service: ServiceDep, owner: Owner, deadline: Deadline, name: TaskName
) -> Response:
    """Let a version predict the task, whatever is fitted later; `null` goes back to what won the last fit."""
    request.scope["state"]["elsewhere"] = True
    body = await read_json_body(request, deadline)
    try:
        version = PUT_VERSION.validate_json(body)["version"]
    except ValidationError as error:
        raise problem_of(error, PutVersion) from None
    found = await service.store_threads.run(deadline, service.store.versions.pin, Key(owner, name), version)
    return Response(to_json(versions_document(found)), media_type="application/json")
