"""A body as it comes off the wire."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IProtocol)
class GatheredBody(Protocol):
    """Gathers a body, whose size whoever sends it has to limit. `on_end` is called with the reason when the transfer ends."""

    def __init__(self, on_end: Callable[[Failure], None]) -> None:
        self._on_end = on_end
        self._pieces: list[bytes] = []
        self.dataReceived = self._pieces.append  # type: ignore[assignment,method-assign]  # one call less for each piece

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Report the end: ResponseDone, PotentialDataLoss (no announced length, closed) or what went wrong."""
        self._on_end(reason)

    def content(self) -> bytes:
        """Return what was gathered and let go of it."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body
