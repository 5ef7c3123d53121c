"""The bodies of requests about stored tasks, checked and put into the store's form."""

import re
from collections.abc import Collection
from hashlib import sha256

from pydantic import ValidationError
from starlette.requests import Request

from model.network.faults import Fault, pointer
from model.network.graph import NetworkError
from model.network.hashing import canonical_hash
from model.network.shapes import Shape
from model.requests.errors import MAX_FAULTS
from service.errors import Problem, invalid, problem_of
from service.tasks.schemas import AUTO, POST_OBSERVATIONS, PUT_TASK, PostObservations, PutTask
from store import IdempotencyKey, NewObservation

IDEMPOTENCY_HEADER = "Idempotency-Key"
MAX_KEY = 255
NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"


def check_name(name: str) -> str:
    """Return the name of a task to create.

    Raises:
        Problem: 400 for one that cannot be used.
    """
    if not re.fullmatch(NAME, name) or name == AUTO:
        detail = (
            "A task's name has 1 to 64 letters, digits, `_`, `.` and `-`, begins with a letter or digit, not `auto`."
        )
        raise Problem("bad-request", detail)
    return name


def read_task(body: bytes, loaded: Collection[str]) -> tuple[Shape, str | None, str | None]:
    """Return the input, the description and the prior of a task to create.

    Args:
        body: JSON.
        loaded: the tasks that may be priors.

    Raises:
        Problem: 400 or 422.
    """
    try:
        document = PUT_TASK.validate_json(body)
    except ValidationError as error:
        raise problem_of(error, PutTask) from None
    prior = document.get("prior", AUTO)
    if prior not in (None, AUTO, *loaded):
        detail = f'must be "auto", null or a loaded task: {", ".join(loaded)}'
        raise invalid(Fault("/prior", "unknown-task", detail))
    return Shape(*document["input"]), document.get("description"), prior


def read_observations(body: bytes, image: Shape, *, most: int, max_layers: int) -> list[NewObservation]:
    """Return the observations of a request, each with the hash of its network.

    Args:
        body: JSON.
        image: that the task's networks read.
        most: observations in a request.
        max_layers: layers in a network.

    Raises:
        Problem: 400 or 422 with a pointer to each fault.
    """
    try:
        document = POST_OBSERVATIONS.validate_json(body)
    except ValidationError as error:
        raise problem_of(error, PostObservations) from None
    given = document["observations"]
    if len(given) > most:
        raise invalid(Fault("/observations", "too-long", f"{len(given)} are more than the limit of {most}"))
    faults: list[Fault] = []
    found = []
    for index, one in enumerate(given):
        path, layers = ("observations", index, "layers"), one["layers"]
        if len(layers) > max_layers:
            detail = f"{len(layers)} layers are more than the limit of {max_layers}"
            faults.append(Fault(pointer(*path), "too-long", detail))
        else:
            try:
                network = canonical_hash(layers, image)
            except NetworkError as error:
                places = [(pointer(*path, fault.layer, fault.field), fault.message) for fault in error.faults]
                faults += [Fault(place, "impossible", message) for place, message in places]
            else:
                seed, name, proxies = one.get("seed", 0), one.get("id"), one.get("proxies")
                found.append(NewObservation(network, layers, one["accuracy"], seed, name, proxies))
        if len(faults) > MAX_FAULTS:
            break
    if faults:
        raise invalid(*faults)
    return found


def read_idempotency_key(request: Request, name: str, body: bytes) -> IdempotencyKey | None:
    """Return a request's idempotency key with a digest of the task and the body; nothing when it has none.

    Raises:
        Problem: 400 for one that cannot be stored.
    """
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is None:
        return None
    if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise Problem("bad-request", f"{IDEMPOTENCY_HEADER} must be 1 to {MAX_KEY} printable ASCII characters.")
    return IdempotencyKey(key, sha256(name.encode() + b"\0" + body).hexdigest())
