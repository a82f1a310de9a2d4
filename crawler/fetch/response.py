"""What goes to and comes from treq: a request that is composed, and an answer whose body is on its way."""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.defer import AlreadyCalledError
from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer, IClientRequest, IResponse
from zope.interface import implementer

from crawler.fetch.answer import AnswerReader
from crawler.fetch.failures import BodyTooLarge

_log: Final = Logger()


def failure_of(problem: Exception) -> Failure:
    """Return a Failure that was not raised anywhere."""
    return Failure(problem)  # type: ignore[no-untyped-call]


WHOLE: Final = failure_of(ResponseDone())
"""How a body ends that is known to be whole."""

CLOSED: Final = failure_of(PotentialDataLoss())
"""How a body ends whose only end is the connection's."""

_IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})


class Feeds(Protocol):
    """The connection that an answer comes over."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""

    def drop(self) -> None:
        """Close now."""


@implementer(IClientRequest)
class Request:
    """A request as it is written. `body` writes what follows `text`; only requests without one can be sent twice."""

    __slots__ = ("absoluteURI", "body", "headers", "keep_head", "method", "text")

    def __init__(
        self, method: bytes, url: bytes, headers: Headers, text: bytes, body: IBodyProducer | None = None, *, keep_head: bool = False
    ) -> None:
        """Take the head, with the empty line that ends it, as `text`. `keep_head`: the answer's head is wanted as it comes."""
        self.method = method
        self.absoluteURI = url
        self.headers = headers
        self.text = text
        self.body = body
        self.keep_head = keep_head

    @property
    def repeatable(self) -> bool:
        """Tell whether it may be sent again when a kept connection turns out dead (RFC 9110 section 9.2.2)."""
        return self.body is None and self.method in _IDEMPOTENT


@implementer(IPushProducer)
class BodyTransport:
    """What the body's receiver may do to the connection, as long as it carries that body: afterwards nothing."""

    __slots__ = ("_response",)

    disconnecting = False

    def __init__(self, response: Response) -> None:
        self._response = response

    def pauseProducing(self) -> None:
        """Read no more for now."""
        self._response.held = True
        if self._response.source is not None:
            self._response.source.pause()

    def resumeProducing(self) -> None:
        """Read on."""
        self._response.held = False
        if self._response.source is not None:
            self._response.source.resume()

    def stopProducing(self) -> None:
        """Close the connection."""
        self.abortConnection()

    def loseConnection(self) -> None:
        """Close the connection."""
        self.abortConnection()

    def abortConnection(self) -> None:
        """Close the connection."""
        if self._response.source is not None:
            self._response.source.drop()


@implementer(IResponse)
class Response:
    """The head of an answer; `deliverBody` gives the body, what has come in already first."""

    __slots__ = (
        "_ended",
        "_headers",
        "_pieces",
        "_receiver",
        "_room",
        "awaits_receiver",
        "code",
        "fields",
        "head",
        "held",
        "length",
        "phrase",
        "previousResponse",
        "received",
        "request",
        "source",
        "version",
        "whole",
    )

    def __init__(self, request: Request, source: Feeds, reader: AnswerReader, limit: int | None = None) -> None:
        """Take the head that `reader` has read, and how many bytes of body are taken; None: any number."""
        self.request = request
        self.source: Feeds | None = source  # None when the body has ended
        self.whole = reader.whole  # all of the body was in when the head was
        self.code = reader.status
        self.phrase = reader.phrase
        self.version = (b"HTTP", int(reader.version[0]), int(reader.version[2]))
        self.fields = reader.fields
        self.head = reader.head  # as it came, where the request wants it
        self.length: Any = UNKNOWN_LENGTH if reader.length is None else reader.length
        self.previousResponse: IResponse | None = None
        self.awaits_receiver = True  # nobody has asked for the body yet
        self.held = False  # the receiver wants no more for now
        self._headers: Headers | None = None
        self.received = 0  # bytes of body
        self._room = limit
        self._pieces: list[bytes] = []
        self._receiver: IProtocol | None = None
        self._ended: Failure | None = None

    @property
    def headers(self) -> Headers:
        """The fields; made when asked for."""
        if self._headers is None:
            self._headers = Headers()
            for name, value in self.fields:
                self._headers.addRawHeader(name, value)
        return self._headers

    @headers.setter
    def headers(self, headers: Headers) -> None:
        self._headers = headers

    def setPreviousResponse(self, response: IResponse) -> None:
        """Note the answer that led here."""
        self.previousResponse = response

    def deliverBody(self, protocol: IProtocol) -> None:
        """Give the body to `protocol`; its end is connectionLost with ResponseDone, PotentialDataLoss or what went wrong."""
        if not self.awaits_receiver:
            raise RuntimeError("a body can be delivered once only")
        self.awaits_receiver = False
        ended = self._ended
        self._receiver = protocol if ended is None else None
        protocol.makeConnection(BodyTransport(self))  # type: ignore[arg-type]  # as of twisted.web's own responses, it cannot write
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            protocol.dataReceived(piece)
        if ended is not None:
            protocol.connectionLost(ended)
        elif self.source is not None and not self.held:
            self.source.resume()

    def deliver(self, pieces: list[bytes]) -> None:
        """Pass on pieces of the body, or keep them until somebody asks. What is beyond the limit ends the transfer."""
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        self.received += size
        if self._room is not None:
            self._room -= size
            if self._room < 0:
                self._overflow(pieces)
                return
        if self._receiver is None:
            self._pieces += pieces
            return
        for piece in pieces:
            if self._receiver is not None:  # else a piece before made it end
                self._receiver.dataReceived(piece)

    def _overflow(self, pieces: list[bytes]) -> None:
        """Pass on what is within the limit, then close the connection and end."""
        assert self._room is not None
        size = sum(map(len, pieces))
        fits, self._room = self._room + size, None
        source = self.source
        if fits:
            self.received -= size
            self.deliver([b"".join(pieces)[:fits]])
        self.end(failure_of(ResponseFailed([failure_of(BodyTooLarge("the body is larger than is taken"))])))  # type: ignore[no-untyped-call]
        if source is not None:
            source.drop()

    def detach(self) -> None:
        """Tell nobody anything any more."""
        self.source = self._receiver = None

    def end(self, reason: Failure) -> None:
        """Pass on how the body ended; the connection is not this answer's any more."""
        self.source = None
        self._ended = reason
        receiver, self._receiver = self._receiver, None  # they refer to each other: let go, or the collector has to find out
        if receiver is None:
            return
        try:
            receiver.connectionLost(reason)
        except AlreadyCalledError:  # Twisted's readBody, cancelled, is told although it has told already
            pass
        except Exception:  # the caller's fault, which must not become that of whoever uses the connection by now
            _log.failure("The receiver of a body raised when told of its end")
