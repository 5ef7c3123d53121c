"""API keys: optional, several at once for rotation, each of an owner, compared in constant time."""

import hmac
from collections.abc import Mapping
from hashlib import sha256

from service.errors import Problem
from service.settings import DEFAULT_OWNER

NEEDED = "A valid key is needed, as Authorization: Bearer KEY or X-API-Key: KEY."
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="peephole"'}


class Keys:
    """The accepted keys and their owners, kept as digests; without any, every request is accepted."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._owners = {sha256(key.encode()).digest(): owner for key, owner in keys.items()}

    def __bool__(self) -> bool:
        return bool(self._owners)

    def owner(self, headers: Mapping[str, str]) -> str | None:
        """Return the owner of a request's key, sent as `Authorization: Bearer KEY` or `X-API-Key: KEY`.

        Without a valid key it has none; where no keys are set, everything is the default owner's.
        """
        if not self._owners:
            return DEFAULT_OWNER
        scheme, _, token = headers.get("authorization", "").partition(" ")
        offered = (token if scheme.lower() == "bearer" else headers.get("x-api-key", "")).strip()
        digest = sha256(offered.encode()).digest()
        matches = [owner for known, owner in self._owners.items() if hmac.compare_digest(digest, known)]
        return matches[0] if matches else None  # all were compared: constant time

    def check(self, headers: Mapping[str, str]) -> str:
        """Return the owner of a request's key.

        Raises:
            Problem: 401 without a valid key.
        """
        owner = self.owner(headers)
        if owner is None:
            raise Problem("unauthorized", NEEDED, headers=CHALLENGE)
        return owner
