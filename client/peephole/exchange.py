"""What predictors do, step by step, without input and output: a step yields a call and is sent the response's document.

The clients and the predictor in process carry out the calls, so that all of them do the same.
"""

from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar
from urllib.parse import quote
from uuid import uuid4

from pydantic_core import to_json

from .errors import RequestError, UnavailableError
from .model.ranking import OutOfDistribution, RankBy, Ranking
from .model.requests.tradeoffs import TradeOffs
from .networks import Networks, architectures_of
from .predictions import (
    Decision,
    Fit,
    Observed,
    Predictions,
    Task,
    Versions,
    known_form,
    read_decisions,
    read_fit,
    read_observed,
    read_predictions,
    read_tasks,
    read_versions,
)

NOT_FOUND, TOO_LARGE = 404, 413
AUTO = "auto"
OBSERVED = {"id", "layers", "proxies"}  # fields of an architecture that observations have
Result = TypeVar("Result")


@dataclass(frozen=True)
class Call:
    """One request: a second one with the same `Idempotency-Key` changes nothing; `is_kept`: it is sent once."""

    method: Literal["GET", "POST", "PUT"]
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_kept: bool = False


Steps: TypeAlias = Generator[Call, Any, Result]
INFO = Call("GET", "/info", is_kept=True)


class PredictOptions(TypedDict, total=False):
    """The options of `predict`, `rank` and `top`; `Predictor.predict` says what they mean."""

    task: str | None
    version: str | None
    epochs: int | Sequence[int] | None
    context: Sequence[Mapping[str, Any]] | None
    prior: str | None
    input: Sequence[int] | None
    rank_by: RankBy
    out_of_distribution: OutOfDistribution
    proxies: Literal["compute"] | None
    constraints: Mapping[str, float] | None
    objectives: Sequence[str] | None


def predict(
    networks: Networks,
    *,
    task: str | None = None,
    version: str | None = None,
    epochs: int | Sequence[int] | None = None,
    context: Sequence[Mapping[str, Any]] | None = None,
    prior: str | None = AUTO,
    input: Sequence[int] | None = None,  # noqa: A002 - the request's name for it
    rank_by: RankBy = "mean",
    out_of_distribution: OutOfDistribution = "keep",
    proxies: Literal["compute"] | None = None,
    constraints: Mapping[str, float] | None = None,
    objectives: Sequence[str] | None = None,
) -> Steps[Predictions]:
    """Predict a population, in as many requests as the service's limits need; see `Predictor.predict`."""
    architectures, image = architectures_of(networks, input)
    fields: dict[str, Any] = {"task": task, "version": version, "epochs": epochs, "context": context, "input": image}
    fields |= {"constraints": constraints, "objectives": objectives, "proxies": proxies}
    fields = {name: value for name, value in fields.items() if value is not None}
    fields |= {"prior": prior} if prior != AUTO else {}  # `None` is none
    fields |= {"rank_by": rank_by} if rank_by != "mean" else {}
    fields |= {"out_of_distribution": out_of_distribution} if out_of_distribution != "keep" else {}
    for _ in range(2):  # the service may load another predictor in between
        documents = yield from _in_parts("/predict", "architectures", architectures, fields)
        with known_form():
            versions = {_json(document["model"]) for document in documents}
        if len(versions) == 1:
            break
    else:
        raise UnavailableError("the service loads new predictors faster than it answers this population")
    with known_form():
        if len(documents) > 1:
            _rank_together(documents, architectures, Ranking(rank_by, out_of_distribution), objectives)
    return read_predictions(documents)


def _rank_together(
    documents: Sequence[Mapping[str, Any]],
    architectures: Sequence[Mapping[str, Any]],
    ranking: Ranking,
    objectives: Sequence[str] | None,
) -> None:
    """Replace the ranks of several responses by those of the whole population."""
    epochs = documents[0]["epochs"]
    last = epochs.index(max(epochs))
    rows = [row for document in documents for row in document["predictions"]]
    final = [row["final_accuracy"] for row in rows]
    lower, upper = ([row[end][last] for row in rows] for end in ("lower", "upper"))
    ranks = ranking.ranks(final, lower, upper, [row["distance"] for row in rows])
    for row, rank in zip(rows, ranks, strict=True):
        row["rank"] = rank
    if objectives:
        computed = ({name: row[name] for name in ("params", "flops", "activation_bytes")} for row in rows)
        costs = [{**own.get("costs", {}), **more} for own, more in zip(architectures, computed, strict=True)]
        for row, fields in zip(rows, TradeOffs({}, objectives, costs).fields(final), strict=True):
            row.update(fields)


def stop(
    runs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    best: float,
    task: str | None = None,
    confidence: float | None = None,
) -> Steps[list[Decision]]:
    """Decide which training runs to stop; see `Predictor.stop`."""
    listed = [dict(runs)] if isinstance(runs, Mapping) else [dict(run) for run in runs]
    if not listed:
        return []
    given = {"best": best, "task": task, "confidence": confidence}
    fields = {name: value for name, value in given.items() if value is not None}
    return read_decisions((yield from _in_parts("/stop", "architectures", listed, fields)))


def tasks() -> Steps[list[Task]]:
    """Return the tasks that the service predicts."""
    return read_tasks((yield Call("GET", "/tasks")))


def observe(
    task: str,
    networks: Networks,
    accuracies: Sequence[float | Sequence[float]],
    *,
    seeds: Sequence[int] | None = None,
    proxies: Sequence[Mapping[str, float]] | None = None,
    input: Sequence[int] | None = None,  # noqa: A002 - the request's name for it
) -> Steps[Observed]:
    """Store measured networks; see `Client.observe`."""
    architectures, image = architectures_of(networks, input)
    columns: dict[str, Sequence[Any]] = {"accuracy": accuracies}
    columns |= {} if seeds is None else {"seed": seeds}
    columns |= {} if proxies is None else {"proxies": proxies}
    rows: list[dict[str, Any]] = [{name: one[name] for name in one if name in OBSERVED} for one in architectures]
    for name, column in columns.items():
        if len(column) != len(rows):
            raise RequestError(f"{len(rows)} networks, but {len(column)} of {name}")
        for row, value in zip(rows, column, strict=True):
            row[name] = value
    path = f"/tasks/{quote(task, safe='')}"
    send = partial(_in_parts, f"{path}/observations", "observations", rows, {}, changes=True)
    try:
        return read_observed((yield from send()))
    except RequestError as error:
        if error.status != NOT_FOUND or image is None:
            raise
    yield Call("PUT", path, to_json({"input": image}))
    return read_observed((yield from send()))


def fit(task: str, id: str | None = None) -> Steps[Fit]:  # noqa: A002 - the response's name for it
    """Start a background fit, or look at one; see `Client.fit`."""
    path = f"/tasks/{quote(task, safe='')}/fits"
    if id is None:
        document = yield Call("POST", path, b"{}", {"Idempotency-Key": uuid4().hex})
    else:
        document = yield Call("GET", f"{path}/{quote(id, safe='')}")
    return read_fit(document)


def versions(task: str) -> Steps[Versions]:
    """Return the versions of a stored task; see `Client.versions`."""
    return read_versions((yield Call("GET", f"/tasks/{quote(task, safe='')}/versions")))


def use_version(task: str, version: str | None) -> Steps[Versions]:
    """Choose the version of a stored task; see `Client.use_version`."""
    return read_versions((yield Call("PUT", f"/tasks/{quote(task, safe='')}/version", to_json({"version": version}))))


def _in_parts(
    path: str, key: str, items: Sequence[Mapping[str, Any]], fields: Mapping[str, Any], *, changes: bool = False
) -> Steps[list[Any]]:
    """Send a list in requests that fit the service's limits; what is too large nevertheless is halved.

    Args:
        path: of the route.
        key: of the list in the body.
        items: of the list.
        fields: other fields of each body.
        changes: whether the route changes something, which a retry must not do twice.
    """
    texts = [_json(item) for item in items]
    head = _json(fields)
    limits: Mapping[str, int] = {}
    if len(texts) > 1:
        info = yield INFO
        with known_form():
            limits = info["limits"]
    waiting = deque(_split(texts, limits, len(head) + len(key) + 10))
    found = []
    while waiting:
        first, part = waiting.popleft()
        body = b"".join((b'{"', key.encode(), b'":[', b",".join(part), b"]", b"," if head != b"{}" else b"", head[1:]))
        try:
            found.append((yield Call("POST", path, body, {"Idempotency-Key": uuid4().hex} if changes else {})))
        except RequestError as error:
            if error.status != TOO_LARGE or len(part) == 1:
                raise error.moved(key, first) from None
            middle = len(part) // 2
            waiting.extendleft([(first + middle, part[middle:]), (first, part[:middle])])
    return found


def _split(texts: Sequence[bytes], limits: Mapping[str, int], rest: int) -> list[tuple[int, Sequence[bytes]]]:
    """Cut a list into parts of at most so many elements and bytes; each with the index of its first element."""
    most, room = limits.get("max_architectures", len(texts)), limits.get("max_body_bytes")
    parts: list[tuple[int, Sequence[bytes]]] = []
    first = size = 0
    for index, text in enumerate(texts):
        is_full = index - first >= most or (room is not None and size + len(text) + 1 > room - rest)
        if is_full and index > first:
            parts.append((first, texts[first:index]))
            first, size = index, 0
        size += len(text) + 1
    return [*parts, (first, texts[first:])]


def _json(value: Any) -> bytes:
    """Return JSON; numbers of numpy are numbers, and what JSON has no number for is left to be rejected."""
    return to_json(value, inf_nan_mode="constants", fallback=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # arrays and scalars of numpy and PyTorch
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
