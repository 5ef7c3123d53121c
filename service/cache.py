"""Remember curves: the same predictor, epochs and codes always give the same ones."""

from collections.abc import Sequence
from hashlib import sha256
from threading import Lock

from cachetools import LRUCache

from model.runtime import Floats
from service.vocabulary import Ints


class CurveCache:
    """The least recently used results are forgotten first. Safe to use from several threads."""

    def __init__(self, entries: int) -> None:
        self._lock = Lock()
        self._results: LRUCache[bytes, Floats] = LRUCache(entries)

    def __len__(self) -> int:
        return len(self._results)

    def keys(self, model: str, epochs: tuple[int, ...], codes: Sequence[Ints]) -> list[bytes]:
        """Return what tells the networks of a request apart, and from others' if there is room to remember any.

        That is a digest of the predictor (its own digest), the epochs and the codes.
        """
        if not self._results.maxsize:
            return [one.tobytes() for one in codes]
        beginning = sha256(f"{model} {epochs}".encode())  # processors have instructions for this one
        found = []
        for one in codes:
            digest = beginning.copy()
            digest.update(one.data)
            found.append(digest.digest())
        return found

    def get(self, keys: Sequence[bytes]) -> list[Floats | None]:
        """Return what is known for each key."""
        if not self._results.maxsize:
            return [None] * len(keys)
        with self._lock:
            return [self._results.get(key) for key in keys]

    def put(self, keys: Sequence[bytes], results: Sequence[Floats]) -> None:
        """Remember results, unless the cache has no room at all; copies, or each would keep its whole population."""
        if not self._results.maxsize:
            return
        with self._lock:
            self._results.update(zip(keys, (result.copy() for result in results), strict=True))
