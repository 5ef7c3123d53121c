"""A cache of predicted curves: the same predictor, epochs and codes always give the same curve."""

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from cachetools import LRUCache

from model.runtime import Floats
from service.inference.batching import Ints


class CurveCache:
    """Rows of results by key; the least recently used are dropped first. Safe to use from several threads."""

    def __init__(self, entries: int) -> None:
        self._lock = Lock()
        self._rows: LRUCache[int, Floats] = LRUCache(entries)

    @staticmethod
    def keys(model_sha256: str, epochs: tuple[int, ...], networks: Sequence[Ints]) -> list[int]:
        """Return a hash of predictor, epochs and codes for each network.

        Python's own hash of bytes has 64 bits and a secret of the process. `hashlib` lets other threads run meanwhile,
        and a request of many networks then waits for them many times.
        """
        prefix = f"{model_sha256} {epochs}".encode()
        return [hash(prefix + codes.tobytes()) for codes in networks]

    def get(self, keys: Iterable[int]) -> dict[int, Floats]:
        """Return the cached rows."""
        with self._lock:
            found = ((key, self._rows.get(key)) for key in keys)
            return {key: row for key, row in found if row is not None}

    def put(self, rows: Mapping[int, Floats]) -> None:
        """Keep rows; copies, since a row is a view of its whole request's array."""
        if self._rows.maxsize:
            with self._lock:
                self._rows.update({key: row.copy() for key, row in rows.items()})
