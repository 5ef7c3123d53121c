"""A cache of predicted curves: the same predictor, epochs and codes always give the same curve."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from threading import Lock

from cachetools import LRUCache

from model.runtime import Floats
from service.inference.batching import Ints


class CurveCache:
    """Rows of results by key; the least recently used are dropped first. Safe to use from several threads."""

    def __init__(self, entries: int) -> None:
        self._lock = Lock()
        self._rows: LRUCache[bytes, Floats] = LRUCache(entries)

    @staticmethod
    def keys(model_sha256: str, epochs: tuple[int, ...], networks: Sequence[Ints]) -> list[bytes]:
        """Return a digest of predictor, epochs and codes for each network."""
        prefix = sha256(f"{model_sha256} {epochs}".encode())
        keys = []
        for codes in networks:
            digest = prefix.copy()
            digest.update(codes.data)
            keys.append(digest.digest())
        return keys

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Floats]:
        """Return the cached rows."""
        with self._lock:
            found = ((key, self._rows.get(key)) for key in keys)
            return {key: row for key, row in found if row is not None}

    def put(self, rows: Mapping[bytes, Floats]) -> None:
        """Keep rows; copies, since a row is a view of its whole request's array."""
        if self._rows.maxsize:
            with self._lock:
                self._rows.update({key: row.copy() for key, row in rows.items()})
