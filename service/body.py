"""The body of a request as it arrives; what is left of it can be discarded."""

import asyncio
from contextlib import suppress

from starlette.types import Message, Receive

DISCARD_SECONDS = 2.0


class Body:
    """Wraps the server's `receive`."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_left = True

    async def receive(self) -> Message:
        """Return the next part of the body."""
        message = await self._receive()
        self._is_left = message.get("more_body", False)
        return message

    def give_up(self) -> None:
        """Leave the rest unread."""
        self._is_left = False

    async def discard(self) -> None:
        """Read what is left: closing a connection with unread data resets it, and the response is lost."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while self._is_left:
                    await self.receive()
