"""Connections that are open: how many there may be, which are idle and may be used again, and all of them when it is time to close.

Twisted's pool has no limit over all hosts and keeps dead connections and forgotten hosts; a crawl over many hosts
would run out of descriptors. This one has room for so many connections to one origin and so many in all, lets the rest wait
in turn, closes the longest idle connection above `idle_limit` or where room is wanted, forgets a connection when it ends,
uses the latest first, and needs one timer.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from crawler.fetch.connection import Connection

IDLE_SECONDS: Final = 15.0
"""How long an idle connection is kept; servers close theirs after 5 to 75 s."""

FAVOURS: Final = 16
"""How many requests in a row may use a connection of their origin while others wait for room to open one to another."""

Place = Deferred[Connection | None]
"""Fires with an idle connection, or with None: there is room to open one."""


class Pool:
    """All connections of an agent; the idle ones by origin and by age.

    Who wants to send asks `take`, then `may_open`, then waits for `place`. Room that was given is given back by `not_opened`, or
    belongs to the connection that was `opened_for` it until that is `lost`.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        idle_limit: int,
        idle_seconds: float = IDLE_SECONDS,
        per_origin: int | None = None,
        connections: int | None = None,
    ) -> None:
        """Keep `idle_limit` connections idle for `idle_seconds` each; open at most so many to one origin and in all (None: any)."""
        self._reactor = reactor
        self._idle_limit = idle_limit
        self._idle_seconds = idle_seconds
        self._per_origin = per_origin
        self._connections = connections
        self._all: set[Connection] = set()
        self._by_origin: dict[str, list[Connection]] = {}
        self._idle: dict[Connection, float] = {}  # since when, the longest first
        self._room_of: dict[str, int] = {}  # places taken, by origin
        self._placed: set[Connection] = set()  # connections that have a place
        self._taken = 0
        self._waiting: dict[str, deque[Place]] = {}  # by origin, the one served last comes last
        self._waiters = 0
        self._making_room: set[Connection] = set()  # ended for those who wait, not lost so far
        self._favours = 0
        self._timer: IDelayedCall | None = None
        self._closing: Deferred[None] | None = None

    # Room

    def may_open(self, origin: str) -> bool:
        """Take a place for one more connection to `origin`, if there is one."""
        if not self._fits(origin):
            return False
        if self._full:
            self._make_room()
            return False
        self._room_of[origin] = self._room_of.get(origin, 0) + 1
        self._taken += 1
        return True

    def _fits(self, origin: str) -> bool:
        return self._per_origin is None or self._room_of.get(origin, 0) < self._per_origin

    @property
    def _full(self) -> bool:
        return self._connections is not None and self._taken >= self._connections

    def _make_room(self) -> None:
        """Close the connection that has been idle the longest; its place is given to who waits when it has ended."""
        oldest = next(iter(self._idle), None)
        if oldest is not None:
            self._making_room.add(oldest)
            self._close_idle(oldest)

    def place(self, origin: str) -> Place:
        """Wait in turn for a connection to `origin` or for room to open one. Whoever gives up waiting cancels it."""
        queue = self._waiting.setdefault(origin, deque())
        waiting: Place = Deferred(lambda one: self._leave(origin, one))
        queue.append(waiting)
        self._waiters += 1
        return waiting

    def _leave(self, origin: str, waiting: Place) -> None:
        queue = self._waiting[origin]
        queue.remove(waiting)
        self._waiters -= 1
        if not queue:
            del self._waiting[origin]

    def opened_for(self, connection: Connection) -> None:
        """Let the place that was taken be this new connection's."""
        if connection in self._all:
            self._placed.add(connection)
        else:  # it has ended already
            self.not_opened(connection.origin)

    def replace(self, dead: Connection) -> bool:
        """Take the place of a connection that turned out dead, for one to be opened in its stead; return whether it had any."""
        had = dead in self._placed
        self._placed.discard(dead)
        return had

    def not_opened(self, origin: str) -> None:
        """Give back a place: the connection did not come about."""
        left = self._room_of[origin] - 1
        if left:
            self._room_of[origin] = left
        else:
            del self._room_of[origin]
        self._taken -= 1
        self._admit()

    def _vacate(self, connection: Connection) -> None:
        if connection in self._placed:
            self._placed.discard(connection)
            self.not_opened(connection.origin)

    def _admit(self) -> None:
        """Give a place that became free to who waits for it: the origins take turns, and in each the first comes first."""
        for origin in self._waiting:
            if self.may_open(origin):
                self._serve(origin, None)
                return

    def _serve(self, origin: str, connection: Connection | None) -> None:
        queue = self._waiting.pop(origin)
        waiting = queue.popleft()
        self._waiters -= 1
        if queue:
            self._waiting[origin] = queue
        waiting.callback(connection)

    # Connections

    @property
    def closing(self) -> bool:
        """Tell whether `close` was called."""
        return self._closing is not None

    def opened(self, connection: Connection) -> None:
        """Take a new connection into the books."""
        self._all.add(connection)
        if self._closing is not None:
            connection.drop()

    def lost(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._forget_idle(connection)
        self._all.discard(connection)
        self._making_room.discard(connection)
        self._vacate(connection)
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
        if self._waiting and self._hand_on(connection):
            return
        self._by_origin.setdefault(connection.origin, []).append(connection)
        self._idle[connection] = self._reactor.seconds()
        if len(self._idle) > self._idle_limit:
            self._close_idle(next(iter(self._idle)))
        if self._timer is None:
            self._timer = self._reactor.callLater(self._idle_seconds, self._sweep)

    def _hand_on(self, connection: Connection) -> bool:
        """Let a connection that became free serve who waits, by itself or by its place; return whether it does."""
        origin = connection.origin
        others_wait = self._wait_for_room(origin)
        if origin in self._waiting and not (others_wait and self._favours >= FAVOURS):
            self._favours = self._favours + 1 if others_wait else 0
            if connection.ready():  # else it is closed, and its place goes to who waits when it is lost
                self._serve(origin, connection)
            return True
        self._favours = 0
        if others_wait:
            self._making_room.add(connection)
            connection.end()
        return others_wait

    def _wait_for_room(self, origin: str) -> bool:
        """Tell whether somebody waits for room to another origin, for whom none is being made."""
        if not self._full or self._waiters <= len(self._making_room):
            return False
        return any(other != origin and self._fits(other) for other in self._waiting)

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
