"""One request on its way: a connection for it, its sending, once more if need be, and its deadlines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from crawler.fetch.connection import Connection
from crawler.fetch.deadlines import Deadlines, LeastRate
from crawler.fetch.endpoint import Connector, Target
from crawler.fetch.failures import TimedOut
from crawler.fetch.pool import Pool
from crawler.fetch.response import Request, Response, failure_of

OnSent = Callable[[float], None]

_TLS_TURNS: Final = 3
"""Turns of the reactor after which what was written to TLS has left: small writes are gathered, encrypted, and sent, a turn each."""


class Line(Struct, frozen=True):
    """What all transfers of an agent share."""

    reactor: Any  # a ReactorNet
    pool: Pool
    connector: Connector
    whole: Deadlines[Transfer]
    first_byte: Deadlines[Transfer]
    least_rate: LeastRate


class Transfer:
    """One request and its answer, until the body has ended. `start` it once.

    `on_sent` is called with the reactor's time when the request has left on an open connection: never when there was none, and
    twice when a kept connection turned out dead and the request was sent again.
    """

    __slots__ = (
        "_answer",
        "_connecting",
        "_leaving",
        "_limit",
        "_line",
        "_on_sent",
        "_request",
        "_reused",
        "connection",
        "ip",
        "stage",
        "target",
    )

    def __init__(self, line: Line, request: Request, target: Target, *, limit: int | None, on_sent: OnSent | None = None) -> None:
        """Take the request, where it goes, and how many bytes of body are taken (None: any number)."""
        self.target = target
        self.stage = "connect"
        self.ip: str | None = None  # of the server, once the request is sent to it directly
        self.connection: Connection | None = None  # while it carries this transfer
        self._line = line
        self._request = request
        self._limit = limit
        self._on_sent = on_sent
        self._reused = False
        self._leaving = False  # a request was written, nobody was told so far
        self._connecting: Deferred[Any] | None = None  # a place in the pool, or a connection, that is waited for
        self._answer: Deferred[Response] | None = None  # until the head has come

    def start(self) -> Deferred[Response]:
        """Send; the result fires with the head of the answer. Cancelling it closes the connection at once.

        It fails with CannotConnect, ResponseNeverReceived, or ResponseFailed, whose `reasons` begin with what went wrong:
        TimedOut, BadAnswer, HeadTooLarge, or Twisted's ConnectionLost and ConnectionDone.
        """
        line = self._line
        if line.pool.closing:
            return fail(CancelledError())
        answer = self._answer = Deferred(self._cancelled)
        line.whole.begin(self, line.reactor.seconds())
        line.least_rate.watch()
        try:
            self._get_connection()
        except Exception:
            self._fail(Failure())  # type: ignore[no-untyped-call]
        return answer

    # A connection

    def _get_connection(self) -> None:
        key = self.target.key
        connection = self._line.pool.take(key)
        if connection is not None:
            self._send(connection, reused=True)
        elif self._line.pool.may_open(key):
            self._connect()
        else:
            self.stage = "queue"
            self._connecting = self._line.pool.place(key)
            self._connecting.addCallbacks(self._placed, _ignore_cancelled).addErrback(self._fail)

    def _placed(self, connection: Connection | None) -> None:
        self._connecting = None
        if connection is not None:
            self._send(connection, reused=True)
        else:
            self._connect()

    def _connect(self) -> None:
        connecting = self._connecting = self._line.connector.connect(self.target, self._enter)
        connecting.addCallbacks(self._connected, self._not_connected).addErrback(self._fail)

    def _connected(self, connection: Connection) -> None:
        self._connecting = None
        self._line.pool.opened_for(connection)
        self._send(connection, reused=False)

    def _not_connected(self, problem: Failure) -> None:
        self._connecting = None
        self._line.pool.not_opened(self.target.key)
        if not isinstance(problem.value, CancelledError):
            self._fail(problem)

    def _enter(self, stage: str) -> None:
        self.stage = stage

    # The request

    def _send(self, connection: Connection, *, reused: bool) -> None:
        self.connection, self.ip, self._reused = connection, connection.ip, reused
        self.stage = "head"
        self._line.first_byte.begin(self, self._line.reactor.seconds())
        connection.request(self._request, self, self._limit)
        if self._on_sent is None or self.connection is not connection:
            return
        if connection.secure:
            self._leaving = True
            self._leave(_TLS_TURNS)
        else:
            self._on_sent(self._line.reactor.seconds())

    def _leave(self, turns: int) -> None:
        """Tell, once, that the request has left: after `turns` turns of the reactor, or when the transfer ends before that."""
        if self._leaving and turns:
            self._line.reactor.callLater(0, self._leave, turns - 1)
        elif self._leaving and self._on_sent is not None:
            self._leaving = False
            self._on_sent(self._line.reactor.seconds())

    # What the connection tells

    def head_came(self, response: Response) -> None:
        """Give the answer's head to who asked."""
        self._line.first_byte.finish(self)
        self.stage = "body"
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.callback(response)

    def no_head(self, problem: Exception) -> None:
        """Try once more over a new connection if a kept one turns out to be dead; else it has failed."""
        connection, self.connection = self.connection, None
        if self._reused and isinstance(problem, ResponseNeverReceived) and self._request.repeatable and self._answer is not None:
            self._line.first_byte.finish(self)
            self._leave(0)
            self._reused, self.ip = False, None
            self._again(connection)
        else:
            self._fail(failure_of(problem))

    def _again(self, dead: Connection | None) -> None:
        """Open a new connection, in the place of the dead one: another idle one may be as dead."""
        pool = self._line.pool
        if (dead is not None and pool.replace(dead)) or pool.may_open(self.target.key):
            self._connect()
        else:
            self._get_connection()

    def body_over(self) -> None:
        """End: nothing more of the answer will come, and the connection is not this transfer's any more."""
        self.connection = None
        self._release()

    # The end

    def abandon(self) -> None:
        """End, and close whatever is open for this transfer; nobody is told."""
        self._answer = None
        connection, self.connection = self.connection, None
        connecting, self._connecting = self._connecting, None
        self._release()
        if connection is not None:
            connection.abandon()
        if connecting is not None:
            connecting.cancel()

    def call_off(self) -> None:
        """End with CancelledError, and close whatever is open for this transfer."""
        self._end_with(CancelledError())

    def _cancelled(self, _answer: Deferred[Response]) -> None:
        self.abandon()

    def _release(self) -> None:
        if self._leaving:
            self._leave(0)
        self._line.whole.finish(self)
        if self.stage != "body":  # else the head has come
            self._line.first_byte.finish(self)

    def _fail(self, problem: Failure) -> None:
        answer = self._answer
        self.abandon()
        if answer is not None:
            answer.errback(problem)

    def expire(self) -> None:
        """End: the time for the whole exchange is up."""
        self._time_is_up(f"{self.stage}: not finished within {self._line.whole.seconds:g} s")

    def no_first_byte(self) -> None:
        """End if not a byte of the answer has come; but not while the request's body is being sent: look again later."""
        if self.connection is None or self.connection.answering:
            return
        if self.connection.sending:
            self._line.first_byte.begin(self, self._line.reactor.seconds())
        else:
            self._time_is_up(f"{self.stage}: no answer within {self._line.first_byte.seconds:g} s")

    def received(self) -> int | None:
        """Return how many bytes of the answer have come over this connection; None before the first, and while we hold the server up."""
        connection = self.connection
        if connection is None or not connection.answering or connection.paused:
            return None
        return connection.received

    def too_slow(self, rate: float) -> None:
        """End: `rate` bytes a second is less than the least."""
        self._time_is_up(f"{self.stage}: {rate:.0f} bytes/s is slower than is taken")

    def _time_is_up(self, what: str) -> None:
        connection = self.connection
        if connection is not None and connection.body_received is not None:
            what += f", {connection.body_received} bytes received"
        self._end_with(ResponseFailed([failure_of(TimedOut(what))]))  # type: ignore[no-untyped-call]

    def _end_with(self, problem: Exception) -> None:
        """End, telling whoever waits: for the head, or for the body."""
        connection = self.connection
        if connection is not None and self._answer is None:
            self.connection = None
            self._release()
            connection.fail(problem)
        else:
            self._fail(failure_of(problem))


def _ignore_cancelled(problem: Failure) -> None:
    if not isinstance(problem.value, CancelledError):
        problem.raiseException()
