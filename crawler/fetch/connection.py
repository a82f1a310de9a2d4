"""One connection to a server: one request at a time, and exact about when it may be used again.

It is used again only after an answer that was whole, followed by nothing, strictly written, and after which the server
keeps it open (RFC 9112 section 9.3). Bytes that nobody asked for close it: they are never read as the next answer.
It knows the address of its peer and whether it ended with a reset.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from zope.interface import implementer

from crawler.fetch.answer import AnswerReader
from crawler.fetch.response import CLOSED, WHOLE, BodilessRequest, Response, failure_of


@implementer(IHandshakeListener)
class Connection(Protocol):
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
        self.origin = origin
        self.ip: str | None = None
        self.was_reset = False
        self.usable = True  # no request is under way and none was the last
        self.secure = secure
        self._on_open = on_open
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._request: BodilessRequest | None = None
        self._reader: AnswerReader | None = None  # while an answer is awaited or coming in
        self._answer: Deferred[Response] | None = None  # until the head has come in
        self._response: Response | None = None  # from then until the body's end
        self._dropped = False
        self._paused = False

    def connectionMade(self) -> None:
        """Note the peer."""
        assert self.transport is not None
        self.ip = getattr(self.transport.getPeer(), "host", None)
        if not self.secure:
            self._on_open()

    def handshakeCompleted(self) -> None:
        """Come into use: TLS is agreed."""
        self._on_open()

    def ready(self) -> bool:
        """Tell whether a request may be sent: no other is under way, and nothing has come in that was not read yet.

        What follows an answer may still lie in the socket, or in a TLS record of its own: it must not be the next answer.
        A connection with something unread, be it only its end, is closed.
        """
        transport: Any = self.transport
        if not self.usable or transport is None:
            return False
        if _is_empty(transport) and (not self.secure or _is_empty(transport.transport)):
            return True
        self.drop()
        return False

    def request(self, request: BodilessRequest) -> Deferred[Response]:
        """Write `request`; the result fires with the head of the answer, and cancelling it closes the connection.

        It fails with ResponseNeverReceived when not a byte came back, and with ResponseFailed; both tell the reasons.
        """
        if not self.usable or self.transport is None:
            return fail(ResponseNeverReceived([failure_of(ConnectionDone())]))  # type: ignore[no-untyped-call]
        self.usable = False
        self._request = request
        self._reader = AnswerReader(request.method)
        self._answer = Deferred(self._cancelled)
        self._write_now(request.text)
        return self._answer

    def _write_now(self, text: bytes) -> None:
        """Hand `text` to the kernel in this turn of the reactor, not in its next: what counts the time between requests counts from now.

        It also spares the reactor from watching for a socket that can be written to. TLS has its own order of things.
        """
        assert self.transport is not None
        if isinstance(self.transport, FileDescriptor) and not self.secure:
            sent = self.transport.writeSomeData(text)
            if isinstance(sent, int):  # else the connection is lost: writing the usual way finds that out
                text = text[sent:]
        if text:
            self.transport.write(text)

    def _cancelled(self, _answer: Deferred[Response]) -> None:
        self._answer = None
        self.drop()

    # What comes in

    def dataReceived(self, data: bytes) -> None:
        """Read on; whoever waits for the answer is told when all of `data` is read."""
        reader = self._reader
        if reader is None or self._dropped:  # nobody asked, or nobody cares
            self.drop()
            return
        reader.feed(data)
        if self._response is None:
            self._head_came(reader)
        if reader.pieces and self._response is not None:
            pieces, reader.pieces = reader.pieces, []
            self._response.deliver(pieces)
        if self._dropped or self._reader is None:
            return
        if reader.problem is not None:
            self._fail(reader.problem)
        elif reader.whole:
            self._finish(reader)
        elif self._response is not None and self._response.awaits_receiver:
            self.pause()

    def _head_came(self, reader: AnswerReader) -> None:
        if not reader.head_done or self._answer is None:
            return
        assert self._request is not None
        answer, self._answer = self._answer, None
        self._response = Response(self._request, self, reader)
        answer.callback(self._response)

    def _finish(self, reader: AnswerReader) -> None:
        """End a whole answer. The connection is free before the body's end is told: the next request may come with that."""
        response = self._response
        assert response is not None
        self._reader = self._request = self._response = None
        if reader.reusable:
            self.resume()
            self.usable = True
            self._on_idle(self)
        else:
            self.end()
        response.end(WHOLE)

    def _fail(self, problem: Exception) -> None:
        self.end()
        self._tell(ResponseFailed([failure_of(problem)]))  # type: ignore[no-untyped-call]

    def _tell(self, problem: Exception) -> None:
        """End the answer that will not come to its end."""
        answer, response = self._answer, self._response
        if self._reader is not None:
            self._reader.close()
        self._reader = self._request = self._response = self._answer = None
        if answer is not None:
            answer.errback(problem)
        elif response is not None:
            response.end(failure_of(problem))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note how it ended, first of all: what waits for the answer asks for it."""
        self.usable = False
        self.was_reset = not self.secure and not isinstance(reason.value, ConnectionDone)
        reader, response = self._reader, self._response
        if response is not None and reader is not None and reader.ends_by_close and not self._dropped:
            reader.close()
            self._reader = self._request = self._response = None
            response.end(CLOSED)
        elif reader is not None:
            what = ResponseFailed if reader.started else ResponseNeverReceived
            self._tell(what([reason]))  # type: ignore[no-untyped-call]
        self._on_lost(self, reason)

    # Closing, and reading slower

    def drop(self) -> None:
        """Close now, whatever is under way."""
        self.usable = False
        self._dropped = True
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def end(self) -> None:
        """Close while nothing is under way: in order, unless that means to wait for the server's close_notify, maybe for ever."""
        self.usable = False
        if self.secure:
            self.drop()
        elif self.transport is not None:
            self.transport.loseConnection()

    def pause(self) -> None:
        """Read no more for now: the server is held up by TCP."""
        if not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pauseProducing()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Read on."""
        if self._paused and not self._dropped and self.transport is not None:
            self._paused = False
            self.transport.resumeProducing()  # type: ignore[attr-defined]


def _is_empty(transport: Any) -> bool:
    """Tell whether reading from an open socket or TLS connection would give nothing, not even its end."""
    try:
        transport.getHandle().recv(1, socket.MSG_PEEK)
    except (BlockingIOError, SSL.WantReadError):
        return True
    except (OSError, SSL.Error):
        return False
    return False
