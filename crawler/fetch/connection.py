"""One connection to a server: Twisted's HTTP/1.1 client with a bounded head, exact about when it may be used again.

What is changed, and why:

- a head may be `MAX_HEAD` bytes long in all, informational answers (1xx) included; Twisted has no such limit, and drops a
  connection for one line above 16 KiB;
- ``Connection: Close`` in any case, HTTP/1.0 without keep-alive, and bytes after an answer's end make it the
  connection's last answer (RFC 9112 section 9.3); surplus bytes are never read as the next answer;
- it knows the address of its peer and whether it ended with a reset.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, ITransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS, HTTP11ClientProtocol, HTTPClientParser, Request
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse
from zope.interface import implementer

from crawler.fetch.failures import HeadTooLarge

MAX_HEAD: Final = 65536
"""Bytes of an answer before its body, all interim answers included."""

_SLICE: Final = 8192  # a head is parsed in pieces of this size: the parser copies what is left after every line
_IN_HEAD: Final = (STATUS, HEADER)


class GetRequest(Request):
    """A GET whose head is written in one piece, exactly as composed."""

    def __init__(self, target: bytes, host: bytes, headers: Headers) -> None:
        """Take the request target (RFC 9112 section 3.2.1), the Host field's value and the other fields."""
        super().__init__(b"GET", target, headers, None, persistent=True)  # type: ignore[no-untyped-call]
        lines = [b"GET " + target + b" HTTP/1.1", b"Host: " + host]
        lines += [name + b": " + value for name, values in headers.getAllRawHeaders() for value in values]
        self._head = b"\r\n".join(lines) + b"\r\n\r\n"

    def writeTo(self, transport: ITransport) -> Deferred[None]:
        """Write the request."""
        transport.write(self._head)
        return succeed(None)


@implementer(IHandshakeListener)
class Connection(HTTP11ClientProtocol):
    """A connection to one origin; `on_open`, `on_idle` and `on_lost` are called as its life goes on.

    `on_open` is called when a request can be sent: connected, and with `secure` the handshake done.
    """

    def __init__(
        self,
        origin: str,
        *,
        secure: bool,
        on_open: Callable[[], None],
        on_idle: Callable[[Connection], None],
        on_lost: Callable[[Connection, Failure], None],
    ) -> None:
        super().__init__(on_idle)  # type: ignore[no-untyped-call]
        self.origin = origin
        self.ip: str | None = None
        self.was_reset = False
        self._secure = secure
        self._on_open = on_open
        self._on_lost = on_lost
        self._answer: HTTPClientParser | None = None
        self._asked: Request | None = None
        self._head_room = 0
        self._surplus = False

    def connectionMade(self) -> None:
        """Note the peer."""
        super().connectionMade()
        assert self.transport is not None
        self.ip = getattr(self.transport.getPeer(), "host", None)
        if not self._secure:
            self._on_open()

    def handshakeCompleted(self) -> None:
        """Come into use: TLS is agreed."""
        self._on_open()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note how it ended, first of all: what waits for the answer asks for it."""
        self.was_reset = not self._secure and not isinstance(reason.value, ConnectionDone)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._on_lost(self, reason)

    def request(self, request: Request) -> Deferred[IResponse]:
        """Send `request`; see HTTP11ClientProtocol.request for how it may fail."""
        self._head_room = MAX_HEAD
        self._asked = request
        answer: Deferred[IResponse] = super().request(request)
        self._answer = self._parser
        if self._parser is not None:
            self._parser.MAX_LENGTH = 2 * MAX_HEAD  # the limit on the whole head comes first
        return answer

    def framing_headers(self) -> Headers:
        """Return the fields of the last answer that Twisted keeps apart: Content-Length, Connection and the like."""
        assert self._answer is not None
        return self._answer.connHeaders

    def last_answer(self) -> None:
        """Close after the answer that is being received."""
        if self._asked is not None:
            self._asked.persistent = False

    def drop(self) -> None:
        """Close now, whatever is under way."""
        self.last_answer()
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def end(self) -> None:
        """Close while nothing is under way: in order, unless that means to wait for the server's close_notify, maybe for ever."""
        if self._secure:
            self.drop()
        elif self.transport is not None:
            self.transport.loseConnection()

    def _giveUp(self, reason: Failure) -> None:
        super()._giveUp(reason)  # type: ignore[no-untyped-call]
        self.end()

    def dataReceived(self, data: bytes) -> None:
        """Parse what came, the head in small pieces."""
        parser = self._parser
        if parser is None:  # nobody asked
            self.drop()
            return
        while parser.state in _IN_HEAD:
            if self._head_room <= 0:
                reason = HeadTooLarge(f"the answer's head is larger than {MAX_HEAD} bytes")
                self._giveUp(Failure(reason))  # type: ignore[no-untyped-call]
                return
            piece, data = data[:_SLICE], data[_SLICE:]
            self._head_room -= len(piece)
            self._surplus = bool(data)
            super().dataReceived(piece)  # type: ignore[no-untyped-call]
            self._surplus = False
            if not data or self._parser is not parser:
                return
        super().dataReceived(data)  # type: ignore[no-untyped-call]

    def _finishResponse(self, rest: bytes) -> None:
        if rest or self._surplus or not self._stays_open():
            self.last_answer()
        super()._finishResponse(rest)

    def _stays_open(self) -> bool:
        """Tell whether the server keeps the connection open after this answer (RFC 9112 section 9.3)."""
        assert self._answer is not None
        fields = self._answer.connHeaders.getRawHeaders(b"Connection", ())
        if not fields:
            return bool(self._answer.response.version != (b"HTTP", 1, 0))
        options = {option.strip().lower() for field in fields for option in field.split(b",")}
        if b"close" in options:
            return False
        return self._answer.response.version != (b"HTTP", 1, 0) or b"keep-alive" in options
