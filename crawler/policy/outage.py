"""Hosts that can't be reached: longer and longer pauses, and after enough failures in a row the host is given up.

Without this, a dead host with 100 000 queued URLs would cost as many time-outs, each several times.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from crawler.model import Fetched, FetchFailed, Reason

FAILURES_UNTIL_DOWN: Final = 10
LONGEST_PAUSE: Final = 60.0  # seconds
MOST_HOSTS: Final = 50_000
"""Hosts whose failures are remembered; the one that has not failed for the longest time is forgotten, and counted anew."""

_UNREACHABLE: Final = frozenset({Reason.CONNECT, Reason.DNS})


class Outages:
    """Counts each host's failures to connect or to resolve that came in a row."""

    def __init__(self, first_pause: float) -> None:
        """Pause a host for `first_pause` seconds after its second failure in a row, twice as long after each further one."""
        self._first_pause = first_pause
        self._failing: OrderedDict[str, tuple[int, str]] = OrderedDict()  # failures in a row; the last one's detail once it is given up

    def learn(self, host: str, answer: Fetched | FetchFailed) -> float:
        """Take in how a request ended; return for how many seconds the host should rest (0: not at all)."""
        if not (isinstance(answer, FetchFailed) and answer.reason in _UNREACHABLE):
            if self._failing and self.given_up(host) is None:
                self._failing.pop(host, None)
            return 0.0
        row = self._failing.get(host, (0, ""))[0] + 1
        down = f"{row} failures in a row, the last: {answer.detail}"[:300] if row >= FAILURES_UNTIL_DOWN else ""
        self._failing[host] = (row, down)
        self._failing.move_to_end(host)
        if len(self._failing) > MOST_HOSTS:
            self._failing.popitem(last=False)
        if row == 1:
            return 0.0
        return min(self._first_pause * (1 << (row - 2)), LONGEST_PAUSE)

    def given_up(self, host: str) -> tuple[Reason, str] | None:
        """Return why `host` is not asked any more in this run, or None."""
        detail = self._failing.get(host, (0, ""))[1]
        return (Reason.HOST_DOWN, detail) if detail else None
