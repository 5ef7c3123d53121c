"""Stored tasks: users' data sets with the networks measured on them, in SQLite or PostgreSQL.

`Store` is the way in. It blocks: call it from threads. What it returned is committed.
"""

from store.database import DatabaseUrlError, StoreUnavailableError, read_url
from store.records import (
    CONTEXT,
    Added,
    Claim,
    ClaimLostError,
    Context,
    Figures,
    FitJob,
    IdempotencyKey,
    Key,
    KeyReusedError,
    NewObservation,
    Observation,
    Page,
    QuotaError,
    Served,
    StoredTask,
    Summary,
    TaskConflictError,
    UnknownFitError,
    UnknownTaskError,
    UnknownVersionError,
    Version,
    Versions,
)
from store.store import Store

__all__ = [
    "CONTEXT",
    "Added",
    "Claim",
    "ClaimLostError",
    "Context",
    "DatabaseUrlError",
    "Figures",
    "FitJob",
    "IdempotencyKey",
    "Key",
    "KeyReusedError",
    "NewObservation",
    "Observation",
    "Page",
    "QuotaError",
    "Served",
    "Store",
    "StoreUnavailableError",
    "StoredTask",
    "Summary",
    "TaskConflictError",
    "UnknownFitError",
    "UnknownTaskError",
    "UnknownVersionError",
    "Version",
    "Versions",
    "read_url",
]
