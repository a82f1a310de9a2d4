"""What is under way, and until when: one timer for each kind of deadline, whatever the number of requests.

Of one kind all have the same number of seconds, so the one that began first is due first, and the timer need only wait for
that one. When the process was asleep (a laptop's lid, a paused machine), what came meanwhile lies unread in the sockets: whoever is
under way is given that time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

RATE_WINDOW: Final = 15.0
"""Seconds over which a transfer's rate is judged; a transfer that begins within them is judged in the next."""

ASLEEP: Final = 1.0
"""Seconds by which a timer is late when the process did not run."""

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Calls `expired(one)` for each `one` that has not finished `seconds` after it began."""

    def __init__(self, reactor: IReactorTime, seconds: float, expired: Callable[[T], None]) -> None:
        self.seconds = seconds
        self._reactor = reactor
        self._expired = expired
        self._due: dict[T, float] = {}  # the first first
        self._timer: IDelayedCall | None = None

    def begin(self, one: T, now: float) -> None:
        """Expire `one` in `seconds`, unless it has finished by then."""
        self._due[one] = now + self.seconds
        if self._timer is None:
            self._wait(self.seconds, now)

    def _wait(self, seconds: float, now: float) -> None:
        self._timer = self._reactor.callLater(seconds, self._sweep, now + seconds)

    def finish(self, one: T) -> None:
        """Forget `one`."""
        self._due.pop(one, None)

    def under_way(self) -> list[T]:
        """Return who has neither finished nor expired."""
        return list(self._due)

    def _sweep(self, expected: float) -> None:
        self._timer = None
        now = self._reactor.seconds()
        if (late := now - expected) > ASLEEP:
            self._due = {one: due + late + ASLEEP for one, due in self._due.items()}  # timers come before what is to be read
        while self._due:
            first, due = next(iter(self._due.items()))
            if due > now:
                self._wait(due - now, now)
                return
            del self._due[first]
            self._expired(first)

    def close(self) -> None:
        """Stop the timer; nobody may be under way any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Transferring(Protocol):
    """What comes in at some rate."""

    def received(self) -> int | None:
        """Return how many bytes have come in so far; None while that says nothing about the server."""

    def too_slow(self, rate: float) -> None:
        """End: `rate` bytes a second is less than the least."""


class LeastRate:
    """Ends transfers that drip: those that bring less than `rate` bytes a second within a whole window."""

    def __init__(
        self, reactor: IReactorTime, rate: int, under_way: Callable[[], Sequence[Transferring]], window: float = RATE_WINDOW
    ) -> None:
        """Judge what `under_way` returns each `window` seconds; a `rate` of 0 judges nothing."""
        self._reactor = reactor
        self._rate = rate
        self._under_way = under_way
        self._window = window
        self._before: dict[Transferring, int] = {}
        self._timer: IDelayedCall | None = None

    def watch(self) -> None:
        """See to it that judging goes on while something is under way."""
        if self._timer is None and self._rate:
            self._timer = self._reactor.callLater(self._window, self._judge)

    def _judge(self) -> None:
        self._timer = None
        before, self._before = self._before, {}
        for one in self._under_way():
            now = one.received()
            if now is None:
                continue
            came = (now - before[one]) / self._window if one in before else self._rate
            if came < self._rate:
                one.too_slow(came)
            else:
                self._before[one] = now
        if self._under_way():
            self.watch()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
