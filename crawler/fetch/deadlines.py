"""One timer for the deadlines of all exchanges under way.

All have the same number of seconds, so the one that began first is due first, and the timer need only wait for that one.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class UnderWay(Protocol):
    """What can run out of time."""

    def expire(self) -> None:
        """End: the time is up."""

    def cancel(self) -> None:
        """End without a result."""


class Deadlines:
    """Who is under way, and until when."""

    def __init__(self, reactor: IReactorTime, seconds: float) -> None:
        self.seconds = seconds
        self._reactor = reactor
        self._due: dict[UnderWay, float] = {}  # the first first
        self._timer: IDelayedCall | None = None

    def begin(self, one: UnderWay, now: float) -> None:
        """Call `one.expire()` in `seconds`, unless it has finished by then."""
        self._due[one] = now + self.seconds
        if self._timer is None:
            self._timer = self._reactor.callLater(self.seconds, self._sweep)

    def finish(self, one: UnderWay) -> None:
        """Forget `one`."""
        self._due.pop(one, None)

    def under_way(self) -> list[UnderWay]:
        """Return who has neither finished nor expired."""
        return list(self._due)

    def _sweep(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        while self._due:
            first, due = next(iter(self._due.items()))
            if due > now:
                self._timer = self._reactor.callLater(due - now, self._sweep)
                return
            del self._due[first]
            first.expire()

    def close(self) -> None:
        """Stop the timer; nobody may be under way any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
