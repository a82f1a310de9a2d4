"""The body of a request on its way out, from a producer to a connection: as long as was said, or in chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer


@implementer(IConsumer)
class Upload:
    """Carries what `producer` writes to `transport`; the transport's back-pressure reaches the producer.

    `on_failed` gets a RequestGenerationFailed when the producer fails, or writes more or less than it said.
    """

    def __init__(self, producer: IBodyProducer, transport: Any, on_failed: Callable[[Exception], None]) -> None:
        """Start: the request's head is written."""
        self._producer = producer
        self._transport = transport
        self._on_failed = on_failed
        self._left: int | None = None if producer.length is UNKNOWN_LENGTH else int(producer.length)  # bytes to come
        self._over = False
        producing = producer.startProducing(self)  # type: ignore[no-untyped-call]
        producing.addCallbacks(self._produced, self._failed)

    def write(self, data: bytes) -> None:
        """Send a piece: of known length as it is, else as a chunk (RFC 9112 section 7.1)."""
        if self._over or not data:
            return
        if self._left is None:
            self._transport.writeSequence([b"%x\r\n" % len(data), data, b"\r\n"])
        elif len(data) > self._left:
            self._producer.stopProducing()  # type: ignore[no-untyped-call]
            self._fail(ValueError("the producer wrote more than it said"))
        else:
            self._left -= len(data)
            self._transport.write(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let the transport hold up `producer`."""
        self._transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Let the transport forget the producer."""
        self._transport.unregisterProducer()

    def stop(self) -> bool:
        """Send no more; return whether all was sent. If not, the connection cannot be used again."""
        if not self._over:
            self._over = True
            self._producer.stopProducing()  # type: ignore[no-untyped-call]
            return False
        return self._left in (None, 0)

    def _produced(self, _result: object) -> None:
        if self._over:
            return
        if self._left:
            self._fail(ValueError("the producer wrote less than it said"))
            return
        self._over = True
        if self._left is None:
            self._transport.write(b"0\r\n\r\n")

    def _failed(self, problem: Failure) -> None:
        if not self._over:
            self._fail(problem.value)

    def _fail(self, problem: BaseException | None) -> None:
        self._over = True
        self._left = -1
        self._on_failed(RequestGenerationFailed([Failure(problem)]))  # type: ignore[no-untyped-call]
