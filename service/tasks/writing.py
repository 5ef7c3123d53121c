"""Stored tasks and their observations as responses: JSON, JSON Lines, CSV."""

import csv
import io
from dataclasses import asdict

from pydantic_core import to_json

from service.tasks.schemas import (
    FitDocument,
    StoredObservation,
    StoredTaskDocument,
    StoredTaskSummary,
    VersionsDocument,
)
from store import FitJob, Observation, Page, StoredTask, Summary, Versions

JSON, JSON_LINES, CSV = "application/json", "application/x-ndjson", "text/csv"
_TYPES = {
    "application/json": JSON,
    "application/x-ndjson": JSON_LINES,
    "application/ndjson": JSON_LINES,
    "application/jsonl": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
    "text/csv": CSV,
}
_COLUMNS = tuple(StoredObservation.model_fields)


def choose_type(accept: str) -> str:
    """Return the media type of a page that an `Accept` header prefers; JSON where it names none that there is."""
    offers = []
    for place, offer in enumerate(accept.split(",")):
        kind, *parameters = (part.strip() for part in offer.lower().split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            weight = 0.0
        if weight > 0:
            offers.append((-weight, place, _TYPES.get(kind)))
    return next((kind for _, _, kind in sorted(offers) if kind is not None), JSON)


def summary_line(task: StoredTask) -> StoredTaskSummary:
    """Return a task without what it holds."""
    image = task.image
    return StoredTaskSummary(
        task=task.name,
        description=task.description,
        input=[image.channels, image.height, image.width],
        prior=task.prior,
        created_at=task.created_at,
    )


def task_document(summary: Summary, tau: float | None = None) -> StoredTaskDocument:
    """Return a task with what it holds, and how well that ranks itself."""
    return StoredTaskDocument(
        **summary_line(summary.task).model_dump(),
        networks=summary.networks,
        observations=summary.observations,
        best=None if summary.best is None else StoredObservation(**_fields(summary.best)),
        version=summary.version,
        versions=list(summary.versions),
        tau=tau,
    )


def fit_document(fit: FitJob) -> FitDocument:
    """Return a background fit."""
    return FitDocument.model_validate(asdict(fit) | {"id": str(fit.id)})


def versions_document(found: Versions) -> VersionsDocument:
    """Return the versions of a task."""
    return VersionsDocument.model_validate(asdict(found))


def page_text(page: Page, kind: str) -> bytes:
    """Return a page as `kind`, one of JSON, JSON_LINES and CSV; in CSV, lists and objects are JSON texts."""
    rows = [_fields(one) for one in page.observations]
    if kind == JSON_LINES:
        return b"".join(to_json(row) + b"\n" for row in rows)
    if kind == JSON:
        return to_json({"observations": rows, "cursor": None if page.cursor is None else str(page.cursor)})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow([to_json(cell).decode() if isinstance(cell, list | dict) else cell for cell in row.values()])
    return text.getvalue().encode()


def _fields(one: Observation) -> dict[str, object]:
    return {name: getattr(one, name) for name in _COLUMNS}
