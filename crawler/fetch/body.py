"""A body as it comes off the wire, up to a limit."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IProtocol)
class BoundedBody(Protocol):
    """Gathers at most `limit` bytes; whoever owns it must stop the transfer when `on_overflow` is called.

    `on_end` is called with the reason when the transfer ends, however it ends.
    """

    def __init__(self, limit: int, on_overflow: Callable[[], None], on_end: Callable[[Failure], None]) -> None:
        self.size = 0
        self._limit = limit
        self._on_overflow = on_overflow
        self._on_end = on_end
        self._chunks: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep `data`, or drop everything once the limit is passed."""
        before = self.size
        self.size += len(data)
        if self.size <= self._limit:
            self._chunks.append(data)
        elif before <= self._limit:
            self._chunks.clear()
            self._on_overflow()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Report the end: ResponseDone, PotentialDataLoss (no announced length, closed) or what went wrong."""
        self._on_end(reason)

    def content(self) -> bytes:
        """Return what was gathered and let go of it."""
        chunks, self._chunks = self._chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
