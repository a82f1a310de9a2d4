"""Connections that are open: which are idle and may be used again, and all of them when it is time to close.

Twisted's pool has no limit over all hosts and keeps dead connections and forgotten hosts; a crawl over many hosts
would run out of descriptors. This one closes the longest idle connection above `idle_limit`, forgets a connection when
it ends, uses the latest first, and needs one timer.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from crawler.fetch.connection import Connection

IDLE_SECONDS: Final = 15.0
"""How long an idle connection is kept; servers close theirs after 5 to 75 s."""


class Pool:
    """All connections of a fetcher; the idle ones by origin and by age."""

    def __init__(self, reactor: IReactorTime, *, idle_limit: int, idle_seconds: float = IDLE_SECONDS) -> None:
        self._reactor = reactor
        self._idle_limit = idle_limit
        self._idle_seconds = idle_seconds
        self._all: set[Connection] = set()
        self._by_origin: dict[str, list[Connection]] = {}
        self._idle: dict[Connection, float] = {}  # since when, the longest first
        self._timer: IDelayedCall | None = None
        self._closing: Deferred[None] | None = None

    def opened(self, connection: Connection) -> None:
        """Take a new connection into the books."""
        self._all.add(connection)
        if self._closing is not None:
            connection.drop()

    def lost(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._forget_idle(connection)
        self._all.discard(connection)
        if self._closing is not None and not self._all and not self._closing.called:
            self._closing.callback(None)

    def take(self, origin: str) -> Connection | None:
        """Return an idle connection to `origin`, now in use, or None."""
        idle = self._by_origin.get(origin)
        while idle:
            connection = idle[-1]
            self._forget_idle(connection)
            if connection.ready():
                return connection
        return None

    def idle(self, connection: Connection) -> None:
        """Take back a connection whose answer has ended."""
        if self._closing is not None:
            connection.end()
            return
        self._by_origin.setdefault(connection.origin, []).append(connection)
        self._idle[connection] = self._reactor.seconds()
        if len(self._idle) > self._idle_limit:
            self._close_idle(next(iter(self._idle)))
        if self._timer is None:
            self._timer = self._reactor.callLater(self._idle_seconds, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle too long; look again when the next one will have been."""
        self._timer = None
        now = self._reactor.seconds()
        while self._idle:
            oldest, since = next(iter(self._idle.items()))
            left = since + self._idle_seconds - now
            if left > 0:
                self._timer = self._reactor.callLater(min(left, self._idle_seconds), self._sweep)
                return
            self._close_idle(oldest)

    def _close_idle(self, connection: Connection) -> None:
        self._forget_idle(connection)
        connection.end()

    def _forget_idle(self, connection: Connection) -> None:
        if self._idle.pop(connection, None) is None:
            return
        siblings = self._by_origin[connection.origin]
        siblings.remove(connection)
        if not siblings:
            del self._by_origin[connection.origin]

    def close(self) -> Deferred[None]:
        """Close every connection; fires when all have ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closing is None:
            self._closing = Deferred()
            if not self._all:
                self._closing.callback(None)
            for connection in list(self._all):
                connection.end() if connection in self._idle else connection.drop()
        done: Deferred[None] = Deferred()
        if self._closing.called:
            return succeed(None)
        self._closing.addCallback(done.callback)
        return done
