"""Politeness as a data structure, not as sleeps: a heap of hosts ordered by the time each may be asked again.

Invariants (held by `tests/unit/policy/test_politeness.py`):

- a host never has more requests in flight than its limits allow;
- two requests to a host are *sent* at least its delay apart: while one is started but not yet sent (it is still
  connecting), no other is started, unless the delay is zero;
- a host is on the heap only when it has work and may start a request at the time it stands there with;
- every operation costs O(log hosts); `waiting` and `sweep` look at a bounded number of hosts.

All times are seconds of one monotonic clock, passed in as `now`.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import Final

from crawler.policy.host_limits import HostLimits, Limits
from crawler.policy.places import Standing, Whose

SLOWEST: Final = 256
"""Hosts with the longest waits that `waiting` can tell of."""
SWEPT_AT_ONCE: Final = 1_000
"""Hosts that one `sweep` looks at: a fifth of a millisecond."""

_ALL: Final = tuple(Standing)
_PROMPT: Final = (Standing.PROMPT,)


@dataclass(slots=True)
class HostState:
    """What politeness knows of one host."""

    limits: Limits  # as the settings have them
    delay: float  # between two sendings, seconds: of the limits, or what robots.txt asks for
    next_at: float  # no request before this time
    in_flight: int = 0
    unsent: int = 0  # of those in flight, not written to a connection yet
    scheduled_at: float | None = None  # the heap entry that counts
    standing: Standing = Standing.DOUBTFUL


class Politeness:
    """The hosts that have work, by the time they may be asked.

    The engine calls `offer` when a host has work, `acquire` to take the host whose turn it is, `start`, `sent`
    and `finish` around each request, and offers the host again as long as it has work.
    """

    def __init__(self, limits: HostLimits, *, began: float | None = None) -> None:
        """Keep to `limits`. `began`: at that time any host may just have been asked; each waits its delay from then on."""
        self._limits = limits
        self._began = began
        self._hosts: dict[str, HostState] = {}
        self._in_turn: deque[str] = deque()  # the same hosts, in the order in which they are swept
        self._in_flight: dict[str, HostState] = {}
        self._slow: dict[str, HostState] = {}  # at least the `SLOWEST` hosts whose `next_at` is the latest
        self._heaps: tuple[list[tuple[float, str]], ...] = tuple([] for _ in Standing)  # the hosts that have work, by standing

    def __repr__(self) -> str:
        busy = sum(state.in_flight for state in self._in_flight.values())
        return f"<Politeness hosts={len(self._hosts)} in_flight={busy} scheduled={sum(map(len, self._heaps))}>"

    def state(self, host: str) -> HostState:
        """Return the state of `host`, made on first sight."""
        found = self._hosts.get(host)
        if found is None:
            limits = self._limits.of(host)
            next_at = self._began + limits.delay if self._began is not None else 0.0
            found = self._hosts[host] = HostState(limits, limits.delay, next_at)
            self._in_turn.append(host)
            if next_at:
                self._note_slow(host, found)
        return found

    def offer(self, host: str, now: float) -> None:
        """Say that `host` has work: it is scheduled for its time unless it is busy or already scheduled."""
        state = self._hosts.get(host) or self.state(host)
        if self._busy(state):
            return
        at = state.next_at if state.next_at > now else now
        if state.scheduled_at is None or at < state.scheduled_at:
            self._schedule(host, state, at)

    def _schedule(self, host: str, state: HostState, at: float) -> None:
        state.scheduled_at = at
        heapq.heappush(self._heaps[state.standing], (at, host))

    def learn(self, host: str, standing: Standing) -> None:
        """Note what `host` turned out to be."""
        state = self._hosts.get(host) or self.state(host)
        if state.standing is not standing:
            state.standing = standing
            if state.scheduled_at is not None:
                self._schedule(host, state, state.scheduled_at)

    def standing(self, host: str) -> Standing:
        """Return what is known of `host`."""
        state = self._hosts.get(host)
        return state.standing if state is not None else Standing.DOUBTFUL

    def _busy(self, state: HostState) -> bool:
        return state.in_flight >= state.limits.per_host or bool(state.unsent and state.delay > 0)

    def acquire(self, now: float, whose: Whose = Whose.ANY) -> str | None:
        """Take the host whose time has come first, or None when no host may be asked yet; `whose` says which hosts are asked for."""
        while (standing := self._whose_turn(now, whose)) is not None:
            _, host = heapq.heappop(self._heaps[standing])
            state = self._hosts[host]
            state.scheduled_at = None
            if state.next_at > now or self._busy(state):  # paused, or given a delay, since it was scheduled
                self.offer(host, now)
                continue
            return host
        return None

    def _whose_turn(self, now: float, whose: Whose) -> Standing | None:
        """Return on which heap the host to be taken stands first, or None."""
        first, turn = now, None
        for standing in _PROMPT if whose is Whose.PROMPT_ONLY else _ALL:
            if self._heaps[standing] and (at := self._first(standing)) is not None and at <= now:
                if whose is not Whose.ANY:
                    return standing
                if turn is None or at < first:
                    first, turn = at, standing
        return turn

    def next_time(self, whose: Whose = Whose.ANY) -> float | None:
        """Return when `acquire` may succeed next, or None when no host of those asked for has work that may start."""
        earliest = None
        for standing in _PROMPT if whose is Whose.PROMPT_ONLY else _ALL:
            if self._heaps[standing] and (at := self._first(standing)) is not None and (earliest is None or at < earliest):
                earliest = at
        return earliest

    def _first(self, standing: Standing) -> float | None:
        """Return the first time on a heap, after dropping entries that do not count any more: replaced by a later one."""
        heap = self._heaps[standing]
        while heap:
            at, host = heap[0]
            state = self._hosts.get(host)
            if state is not None and state.scheduled_at == at and state.standing is standing:
                return at
            heapq.heappop(heap)
        return None

    def start(self, host: str, now: float) -> None:
        """Count a request of `host` as in flight, not sent yet."""
        state = self._hosts.get(host) or self.state(host)
        state.in_flight += 1
        state.unsent += 1
        self._in_flight[host] = state
        if state.delay:
            self._rest(host, state, now + state.delay)

    def sent(self, host: str, now: float, *, again: bool = False) -> bool:
        """Note that a started request was written to its connection at `now` (`again`: once more, on a fresh one).

        Return whether the host was held up by that: if it has work, it has to be offered again.
        """
        state = self._hosts.get(host) or self.state(host)
        busy = self._busy(state)
        if not again and state.unsent:
            state.unsent -= 1
        if state.delay:
            self._rest(host, state, now + state.delay)
        return busy

    def finish(self, host: str, *, was_sent: bool) -> bool:
        """Note that a request is over: answered, failed or given up. Return whether the host was held up by it, as `sent` does."""
        state = self._hosts.get(host) or self.state(host)
        busy = self._busy(state)
        state.in_flight -= 1
        if not state.in_flight:
            del self._in_flight[host]
        if not was_sent and state.unsent:
            state.unsent -= 1
        return busy

    def set_delay(self, host: str, delay: float, now: float) -> None:
        """Ask for at least `delay` seconds between two sendings from now on (robots.txt's Crawl-delay)."""
        state = self.state(host)
        if delay > state.delay:
            state.delay = delay
            self._rest(host, state, now + delay)

    def pause(self, host: str, until: float) -> None:
        """Let `host` rest until `until`: back-off, Retry-After."""
        self._rest(host, self.state(host), until)

    def _rest(self, host: str, state: HostState, until: float) -> None:
        if until > state.next_at:
            state.next_at = until
            self._note_slow(host, state)

    def _note_slow(self, host: str, state: HostState) -> None:
        """Keep in mind that `host` waits. A host is dropped when `SLOWEST` others wait longer, which they go on doing: waits only grow."""
        self._slow[host] = state
        if len(self._slow) >= 2 * SLOWEST:
            self._slow = dict(heapq.nlargest(SLOWEST, self._slow.items(), key=lambda item: item[1].next_at))

    def waiting(self, now: float) -> list[tuple[str, float, int]]:
        """Return hosts that must wait, at least the `SLOWEST` slowest, and all in flight: (name, seconds to wait, in flight).

        The longest wait comes first.
        """
        hosts = self._slow | self._in_flight
        rows = [(name, max(0.0, state.next_at - now), state.in_flight) for name, state in hosts.items()]
        return sorted((row for row in rows if row[1] > 0 or row[2]), key=lambda row: (-row[1], -row[2], row[0]))

    def sweep(self, now: float) -> None:
        """Look at the next hosts in turn and drop what is known of those that are idle and owe nothing: it can be known anew.

        Called again and again it bounds memory by the hosts with work and those with a delay of their own.
        """
        for _ in range(min(len(self._in_turn), SWEPT_AT_ONCE)):
            name = self._in_turn.popleft()
            state = self._hosts[name]
            idle = not state.in_flight and state.scheduled_at is None and state.next_at <= now
            if idle and state.delay == state.limits.delay:
                del self._hosts[name]
            else:
                self._in_turn.append(name)
