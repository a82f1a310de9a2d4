"""The places for requests in flight, all hosts together, and who may take them.

A host is *prompt* when its last page came to a good end quickly; every other one, a host never asked among them, is *doubtful*.
Of the places, a quarter is kept for prompt hosts, so that hosts which stall, drip or send bombs cannot hold all; and another
quarter is given out by time alone, so that prompt hosts which always have work cannot keep the doubtful ones out.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from crawler.model import Outcome, Reason, Record

PROMPT: Final = 2000
"""Milliseconds within which an answer is prompt."""


class Whose(Enum):
    """Whose turn it is."""

    ANY = "the host that has waited longest"
    PROMPT_FIRST = "a prompt host, or if none is due a doubtful one"
    PROMPT_ONLY = "a prompt host"


class Places:
    """How many requests are in flight, and how many leases doubtful hosts hold."""

    def __init__(self, limit: int) -> None:
        """Have `limit` places."""
        self._limit = limit
        self._by_time = max(1, limit // 4)
        self._for_doubtful = limit - limit // 4
        self.in_flight = 0
        self.doubtful = 0
        """Leases of doubtful hosts, from the lease until the page is parsed."""

    @property
    def free(self) -> bool:
        """Say whether one more request may begin."""
        return self.in_flight < self._limit

    def turn(self, *, alone: bool = False) -> Whose:
        """Return whose turn the next place is; `alone`: there is one host only, and nobody to keep a place for."""
        if alone or self.doubtful < self._by_time:
            return Whose.ANY
        return Whose.PROMPT_FIRST if self.doubtful < self._for_doubtful else Whose.PROMPT_ONLY


def is_prompt(record: Record) -> bool:
    """Say whether a host that ended so is prompt: it answered within `PROMPT`, and its page, if it was one, could be used."""
    if record.elapsed_ms is None or record.elapsed_ms > PROMPT:
        return False
    return record.outcome is not Outcome.FAILED or record.reason is Reason.HTTP_ERROR
