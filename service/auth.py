"""API keys: optional, several at once for rotation, compared in constant time."""

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256

from service.errors import Problem

NEEDED = "A valid key is needed, as Authorization: Bearer KEY or X-API-Key: KEY."
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="peephole"'}


class Keys:
    """The accepted keys, kept as digests; without any, every request is accepted."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, headers: Mapping[str, str]) -> None:
        """Accept a request with a key: `Authorization: Bearer KEY` or `X-API-Key: KEY`.

        Raises:
            Problem: 401.
        """
        if not self._digests:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        offered = (token if scheme.lower() == "bearer" else headers.get("x-api-key", "")).strip()
        digest = sha256(offered.encode()).digest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]  # all of them: constant time
        if not any(matches):
            raise Problem("unauthorized", NEEDED, headers=CHALLENGE)
