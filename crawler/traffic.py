"""Requests in flight: which host may make the next one, and what the end of each teaches about its host. Leases report to it.

It ties together what decides: `politeness` (when a host may be asked), `places` (how many requests, and whose turn it is)
and `outage` (which hosts are given up).
"""

from __future__ import annotations

from collections.abc import Callable

from crawler.config import FetchSettings
from crawler.lag import Clock
from crawler.lease import Lease
from crawler.model import Fetched, FetchFailed, Reason, Record
from crawler.policy.outage import Outages
from crawler.policy.places import PROMPT, Places, Standing, Whose, standing_after
from crawler.policy.politeness import Politeness


class Traffic:
    """The places in flight and the hosts that want them."""

    def __init__(
        self,
        clock: Clock,
        settings: FetchSettings,
        politeness: Politeness,
        *,
        on_change: Callable[[str | None], None],
        on_pause: Callable[[str, float], None],
    ) -> None:
        """`on_change` is told when a host, if one is named, or some place may be free again; `on_pause` for how long a host rests."""
        self.politeness = politeness
        self._clock = clock
        self._places: Places[Lease] = Places(settings.concurrency, settings.stalled)
        self._outages = Outages(settings.retry_delay)
        self._on_change = on_change
        self._on_pause = on_pause

    # What the engine asks

    @property
    def free(self) -> bool:
        """Say whether one more request may begin."""
        return self._places.free

    @property
    def in_flight(self) -> int:
        """Requests in flight."""
        return self._places.in_flight

    def acquire(self, now: float, *, alone: bool, doubtful: bool) -> str | None:
        """Take the host whose turn it is. `alone`: no other has work. `doubtful`: there is room for pages of doubtful hosts."""
        return self.politeness.acquire(now, self._whose(alone=alone, doubtful=doubtful))

    def next_time(self, *, alone: bool, doubtful: bool) -> float | None:
        """Return when `acquire` may succeed next; None when only some end can bring that about."""
        host = self.politeness.next_time(self._whose(alone=alone, doubtful=doubtful)) if self._places.free else None
        times = (host, None if alone else self._places.next_aside())
        return min((time for time in times if time is not None), default=None)

    def _whose(self, *, alone: bool, doubtful: bool) -> Whose:
        return self._places.turn(alone=alone) if doubtful else Whose.PROMPT_ONLY

    def set_aside(self, now: float) -> None:
        """Let requests that take long make room for others."""
        for lease in self._places.set_aside(now):
            lease.release()

    def lease(self, host: str, *, page: bool, errand: bool) -> Lease:
        """Return a new lease for a URL of `host`, or for its robots.txt."""
        doubtful = self.politeness.standing(host) is not Standing.PROMPT
        self._places.doubtful += doubtful
        return Lease(self, host, page=page, errand=errand, doubtful=doubtful)

    def visited(self, host: str, record: Record | None) -> None:
        """Learn from how a visit of `host` ended; None: it is to be made again."""
        self.politeness.learn(host, standing_after(record) if record is not None else Standing.DOUBTFUL)

    # What a lease tells

    def given_up(self, host: str) -> tuple[Reason, str] | None:
        """Return why `host` is not asked any more, or None."""
        return self._outages.given_up(host)

    def request_begins(self, lease: Lease) -> None:
        """Count a request in flight."""
        now = self._clock.seconds()
        self._places.begin(lease, now)
        self.politeness.start(lease.host, now)

    def request_sent(self, host: str, now: float, *, again: bool) -> None:
        """Let the host's delay count from `now`, when the request has left."""
        if self.politeness.sent(host, now, again=again):
            self._on_change(host)

    def request_over(self, lease: Lease, answer: Fetched | FetchFailed | None, *, was_sent: bool) -> None:
        """Free a place in flight, and learn how the host fares."""
        host = lease.host
        self._places.over(lease)
        held_up = self.politeness.finish(host, was_sent=was_sent)
        if lease.errand and isinstance(answer, Fetched) and answer.elapsed * 1000 <= PROMPT:
            self.politeness.learn(host, min(Standing.ANSWERED, self.politeness.standing(host)))
        if answer is not None and (rest := self._outages.learn(host, answer)):
            self.politeness.pause(host, self._clock.seconds() + rest)
        self._on_change(host if held_up else None)

    def stage_is_over(self, *, doubtful: bool) -> None:
        """Let leasing go on if it rested for the sake of the parse workers, or of prompt hosts."""
        self._places.doubtful -= doubtful
        self._on_change(None)

    def pause_host(self, host: str, seconds: float) -> None:
        """Let `host` rest."""
        self.politeness.pause(host, self._clock.seconds() + seconds)
        self._on_pause(host, seconds)
