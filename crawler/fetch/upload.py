"""The body of a request on its way out, from a producer to a connection: as long as was said, or in chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

_log: Final = Logger()


@implementer(IConsumer, IPushProducer)
class Upload:
    """Carries what `producer` writes to `transport`; the transport's back-pressure reaches the producer. `start` it once.

    `on_failed` gets a RequestGenerationFailed when the producer fails, or writes more or less than it said.
    """

    def __init__(self, producer: IBodyProducer, transport: Any, on_failed: Callable[[Exception], None]) -> None:
        """Take the parts."""
        self._producer = producer
        self._held: Any = producer  # who is held up: the producer, or whom it registers
        self._transport = transport
        self._on_failed = on_failed
        self._left: int | None = None if producer.length is UNKNOWN_LENGTH else int(producer.length)  # bytes to come
        self.over = False  # nothing more will be written

    def start(self) -> None:
        """Begin: the request's head is written."""
        self._transport.registerProducer(self, True)
        producing = maybeDeferred(self._producer.startProducing, self)
        producing.addCallbacks(self._produced, self._failed)

    # What the producer does

    def write(self, data: bytes) -> None:
        """Send a piece: of known length as it is, else as a chunk (RFC 9112 section 7.1)."""
        if self.over or not data:
            return
        if self._left is None:
            self._transport.writeSequence([b"%x\r\n" % len(data), data, b"\r\n"])
        elif len(data) > self._left:
            self._fail(ValueError("the producer wrote more than it said"))
            self._stop_producer()
        else:
            self._left -= len(data)
            self._transport.write(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Hold up `producer` in place of the body's own."""
        self._held = producer
        if not self.over:
            self._transport.unregisterProducer()
            self._transport.registerProducer(self, streaming)

    def unregisterProducer(self) -> None:
        """Hold up the body's own producer again."""
        self.registerProducer(self._producer, True)

    def _produced(self, _result: object) -> None:
        if self.over:
            return
        if self._left:
            self._fail(ValueError("the producer wrote less than it said"))
            return
        self._end()
        if self._left is None:
            self._transport.write(b"0\r\n\r\n")

    def _failed(self, problem: Failure) -> None:
        if not self.over:
            self._fail(problem.value)

    # What the transport does

    def pauseProducing(self) -> None:
        """Hold the producer up: the server takes no more for now."""
        if not self.over:
            self._held.pauseProducing()

    def resumeProducing(self) -> None:
        """Let the producer go on."""
        if not self.over:
            self._held.resumeProducing()

    def stopProducing(self) -> None:
        """Stop: the connection has gone."""
        self.stop()

    # The end

    def stop(self) -> bool:
        """Send no more; return whether all was sent. If not, the connection cannot be used again."""
        if self.over:
            return self._left in (None, 0)
        self._end()
        self._left = -1
        self._stop_producer()
        return False

    def _end(self) -> None:
        self.over = True
        self._transport.unregisterProducer()

    def _fail(self, problem: BaseException | None) -> None:
        self._end()
        self._left = -1
        self._on_failed(RequestGenerationFailed([Failure(problem)]))  # type: ignore[no-untyped-call]

    def _stop_producer(self) -> None:
        """Tell the producer, which is the caller's: what it raises must not keep a connection from being closed."""
        try:
            self._producer.stopProducing()  # type: ignore[no-untyped-call]
        except Exception:
            _log.failure("The producer of a request's body raised when it was stopped")
