"""Stored tasks: users' data sets with the networks measured on them, in SQLite or PostgreSQL.

`Store` is the way in. It blocks: call it from threads. What it returned is committed.
"""

from store.database import DatabaseUrlError, StoreUnavailableError, read_url
from store.records import (
    Added,
    Context,
    IdempotencyKey,
    Key,
    KeyReusedError,
    NewObservation,
    Observation,
    Page,
    QuotaError,
    StoredTask,
    Summary,
    TaskConflictError,
    UnknownTaskError,
)
from store.store import Store

__all__ = [
    "Added",
    "Context",
    "DatabaseUrlError",
    "IdempotencyKey",
    "Key",
    "KeyReusedError",
    "NewObservation",
    "Observation",
    "Page",
    "QuotaError",
    "Store",
    "StoreUnavailableError",
    "StoredTask",
    "Summary",
    "TaskConflictError",
    "UnknownTaskError",
    "read_url",
]
