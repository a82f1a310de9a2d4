"""One connection to a server: one request at a time, and exact about when it may be used again.

It is used again only after an answer that was whole, followed by nothing, strictly written, and after which the server
keeps it open (RFC 9112 section 9.3). Bytes that nobody asked for close it: they are never read as the next answer.
It knows the address of its peer and whether it ended with a reset.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol

from OpenSSL import SSL
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, ITCPTransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from zope.interface import implementer

from crawler.fetch.answer import AnswerReader
from crawler.fetch.failures import AnswerCut
from crawler.fetch.response import CLOSED, WHOLE, Request, Response, failure_of
from crawler.fetch.upload import Upload


class Receiver(Protocol):
    """Who is told of an answer. One of `no_head` and `head_came` is called, and after the latter `body_over`."""

    def head_came(self, response: Response) -> None:
        """Take the head; the body waits until `response.deliverBody` is called."""

    def no_head(self, problem: Exception) -> None:
        """Take note that none will come."""

    def body_over(self) -> None:
        """Take note that the body has ended, however; called just before whoever asked for the body is told."""


@implementer(IHandshakeListener)
class Connection(TwistedProtocol):
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
        self.usable = True  # no request is under way and none was the last
        self.secure = secure
        self._on_open = on_open
        self._on_idle = on_idle
        self._on_lost = on_lost
        self.paused = False
        self.received = 0  # bytes of answers
        self._request: Request | None = None
        self._upload: Upload | None = None  # of the request's body
        self._limit: int | None = None
        self._reader: AnswerReader | None = None  # while an answer is awaited or coming in
        self._receiver: Receiver | None = None  # until it has been told everything
        self._response: Response | None = None  # from the head until the body's end
        self._dropped = False

    @property
    def answering(self) -> bool:
        """Tell whether a byte of the awaited answer has come in."""
        return self._reader is not None and self._reader.started

    @property
    def sending(self) -> bool:
        """Tell whether the request's body is still on its way out."""
        return self._upload is not None and not self._upload.over

    @property
    def body_received(self) -> int | None:
        """The bytes of body that have come in of the answer that is coming in; None before its head is whole."""
        return self._response.received if self._response is not None else None

    def connectionMade(self) -> None:
        """Note the peer. What is written leaves at once: a body would else wait for its head's acknowledgement, some 40 ms."""
        assert self.transport is not None
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
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

    def request(self, request: Request, receiver: Receiver, limit: int | None) -> None:
        """Write `request`, and tell `receiver` of the answer, of whose body at most `limit` bytes are taken (None: any number).

        `no_head` gets a ResponseNeverReceived when not a byte came back, else a ResponseFailed; both tell the reasons.
        """
        if not self.usable or self.transport is None:
            receiver.no_head(ResponseNeverReceived([failure_of(ConnectionDone())]))  # type: ignore[no-untyped-call]
            return
        self.usable = False
        self._request = request
        self._receiver = receiver
        self._limit = limit
        self._reader = AnswerReader(request.method, keep_head=request.keep_head)
        self._write_now(request.text)
        if request.body is not None:
            self._upload = Upload(request.body, self.transport, self._upload_failed)
            self._upload.start()

    def _upload_failed(self, problem: Exception) -> None:
        self.fail(ResponseFailed([failure_of(problem)]))  # type: ignore[no-untyped-call]

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

    # What comes in

    def dataReceived(self, data: bytes) -> None:
        """Read on; whoever waits for the answer is told when all of `data` is read."""
        reader = self._reader
        if reader is None or self._dropped:  # nobody asked, or nobody cares
            self.drop()
            return
        self.received += len(data)
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
        if not reader.head_done or self._receiver is None:
            return
        assert self._request is not None
        self._response = Response(self._request, self, reader, self._limit)
        self._receiver.head_came(self._response)

    def _finish(self, reader: AnswerReader) -> None:
        """End a whole answer. The connection is free before the body's end is told: the next request may come with that."""
        response, receiver, upload = self._response, self._receiver, self._upload
        assert response is not None
        sent = upload is None or upload.stop()
        self._reader = self._request = self._response = self._receiver = self._upload = None
        if receiver is not None:
            receiver.body_over()
        if reader.reusable and sent:
            if self.paused:
                self.resume()
            self.usable = True
            self._on_idle(self)
        elif upload is None:
            self.end()
        else:
            self.drop()
        response.end(WHOLE)

    def _fail(self, problem: Exception) -> None:
        self.end()
        self._tell(ResponseFailed([failure_of(problem)]))  # type: ignore[no-untyped-call]

    def fail(self, problem: Exception) -> None:
        """Close now; the answer under way ends with `problem`."""
        self.drop()
        self._tell(problem)

    def _tell(self, problem: Exception) -> None:
        """End the answer that will not come to its end."""
        receiver, response = self._receiver, self._response
        if self._reader is not None:
            self._reader.close()
        if self._upload is not None:
            self._upload.stop()
        self._reader = self._request = self._response = self._receiver = self._upload = None
        if response is None:
            if receiver is not None:
                receiver.no_head(problem)
            return
        if receiver is not None:
            receiver.body_over()
        response.end(failure_of(problem))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell how the answer ended. The end of the connection may be its end, if it is no reset (RFC 9112 section 6.3, rule 8)."""
        self.usable = False
        reader, response = self._reader, self._response
        if response is not None and reader is not None and reader.ends_by_close and not self._dropped:
            if not self.secure and not isinstance(reason.value, ConnectionDone):
                self._tell(ResponseFailed([failure_of(AnswerCut("connection reset within a body of unknown length"))]))  # type: ignore[no-untyped-call]
            else:
                self._closed(response, reader)
        elif reader is not None:
            what = ResponseFailed if reader.started else ResponseNeverReceived
            self._tell(what([reason]))  # type: ignore[no-untyped-call]
        self._on_lost(self, reason)

    def _closed(self, response: Response, reader: AnswerReader) -> None:
        """End an answer whose end is the connection's."""
        reader.close()
        receiver = self._receiver
        self._reader = self._request = self._response = self._receiver = None
        if receiver is not None:
            receiver.body_over()
        response.end(CLOSED)

    # Closing, and reading slower

    def abandon(self) -> None:
        """Close now; of what is under way, nobody is told anything any more."""
        self._receiver = None
        if self._response is not None:
            self._response.detach()
            self._response = None
        self.drop()

    def drop(self) -> None:
        """Close now; who waits for an answer is told when the connection has gone."""
        self.usable = False
        self._dropped = True
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def end(self) -> None:
        """Close while nothing is under way: in order, unless that means to wait for the server, maybe for ever.

        That is its close_notify, or that it reads the rest of a request's body.
        """
        self.usable = False
        if self.secure or self._upload is not None:
            self.drop()
        elif self.transport is not None:
            self.transport.loseConnection()

    def pause(self) -> None:
        """Read no more for now: the server is held up by TCP."""
        if not self.paused and self.transport is not None:
            self.paused = True
            self.transport.pauseProducing()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Read on."""
        if self.paused and not self._dropped and self.transport is not None:
            self.paused = False
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
