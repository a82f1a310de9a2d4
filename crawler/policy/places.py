"""The places for requests in flight, all hosts together, and who may take them.

A host is *prompt* when its last page came to a good end quickly; every other one, a host never asked among them, is *doubtful*. One
that has answered for its robots.txt quickly goes before those of which nothing is known.
Of the places, a quarter is kept for prompt hosts, so that hosts which stall, drip or send bombs cannot hold all; and another
quarter is given out by time alone, so that prompt hosts which always have work cannot keep the doubtful ones out. A request that has
been in flight for some time does not hold its place any longer: it goes on aside, where there is room for many, or a thousand hosts
that never answer would keep out for minutes those that nobody has asked so far.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final, Generic, TypeVar

from crawler.model import Outcome, Reason, Record

PROMPT: Final = 2000
"""Milliseconds within which an answer is prompt."""
PATIENCE: Final = 1.0
"""Seconds after which a request in flight is set aside."""

T = TypeVar("T")


class Standing(IntEnum):
    """What is known of a host; the best first."""

    PROMPT = 0  # its last page came to a good end quickly
    ANSWERED = 1  # so far its robots.txt alone
    DOUBTFUL = 2


class Whose(Enum):
    """Whose turn it is."""

    ANY = "the host that has waited longest"
    BEST_FIRST = "the host of the best standing that is due"
    PROMPT_ONLY = "a prompt host"


class Places(Generic[T]):
    """What is in flight, by when it began; and how many leases doubtful hosts hold."""

    def __init__(self, limit: int, aside: int = 0) -> None:
        """Have `limit` places, and room for `aside` requests that are not answered and make room for others."""
        self._limit = limit
        self._room_aside = aside
        self._by_time = max(1, limit // 4)
        self._for_doubtful = limit - limit // 4
        self._begun: dict[T, float] = {}  # the first first
        self._aside: set[T] = set()
        self.doubtful = 0
        """Leases of doubtful hosts, from the lease until the page is parsed or set aside."""

    def begin(self, one: T, now: float) -> None:
        """Count a request in flight."""
        self._begun[one] = now

    def over(self, one: T) -> None:
        """Free its place."""
        if self._begun.pop(one, None) is None:
            self._aside.discard(one)

    @property
    def in_flight(self) -> int:
        """Requests in flight, those set aside included."""
        return len(self._begun) + len(self._aside)

    @property
    def free(self) -> bool:
        """Say whether one more request may begin."""
        return len(self._begun) < self._limit

    def set_aside(self, now: float) -> list[T]:
        """Let those that are in flight for `PATIENCE` seconds count no more, as far as there is room for them; return them."""
        found = []
        while self._begun and len(self._aside) < self._room_aside:
            one, began = next(iter(self._begun.items()))
            if now - began < PATIENCE:
                break
            del self._begun[one]
            self._aside.add(one)
            found.append(one)
        return found

    def next_aside(self) -> float | None:
        """Return when `set_aside` will find something next, as far as can be told; None when it will not."""
        if not self._begun or len(self._aside) >= self._room_aside:
            return None
        return next(iter(self._begun.values())) + PATIENCE

    def turn(self, *, alone: bool = False) -> Whose:
        """Return whose turn the next place is; `alone`: there is one host only, and nobody to keep a place for."""
        if alone or self.doubtful < self._by_time:
            return Whose.ANY
        return Whose.BEST_FIRST if self.doubtful < self._for_doubtful else Whose.PROMPT_ONLY


def standing_after(record: Record) -> Standing:
    """Return the standing of a host that ended so: prompt if it answered within `PROMPT`, and its page, if it was one, could be used."""
    if record.elapsed_ms is None or record.elapsed_ms > PROMPT:
        return Standing.DOUBTFUL
    return Standing.PROMPT if record.outcome is not Outcome.FAILED or record.reason is Reason.HTTP_ERROR else Standing.DOUBTFUL
