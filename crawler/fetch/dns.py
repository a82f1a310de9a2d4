"""Names to addresses: threads of its own, a bounded memory, one look-up however many ask, never a hang.

Twisted's resolver shares the reactor's ten threads, forgets everything, and never answers when ``getaddrinfo`` raises
something else than ``gaierror``. Here every look-up ends within `timeout` in a value: `Addresses` or `NoAddress`.
``getaddrinfo`` tells no time to live, so answers are kept for a fixed time.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from crawler.fetch.failures import sentence
from crawler.fetch.guard import parse_address

MAX_ADDRESSES: Final = 16
"""Addresses kept of one name."""

TEMPORARY_TTL: Final = 2.0
"""Seconds for which a temporary failure is remembered: short, so that a retry asks again."""

CLOSE_WAIT: Final = 1.0
"""Seconds that `close` waits for its threads; one that is stuck in the system's resolver is left to die as a daemon."""

GetAddrInfo = Callable[..., Sequence[tuple[Any, Any, Any, str, Any]]]


class Addresses(Struct, frozen=True):
    """IP literals of a name, both families taking turns, the system's first choice first."""

    addresses: tuple[str, ...]


class NoAddress(Struct, frozen=True):
    """Why a name has no address now."""

    detail: str
    timed_out: bool = False


Resolution = Addresses | NoAddress


class Clock(Protocol):
    """What the resolver needs of a reactor."""

    def seconds(self) -> float:
        """Return the reactor's time."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kwargs: object) -> IDelayedCall:
        """Call later."""

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        """Call in the reactor's thread."""


class Resolver:
    """Resolves host names; IP literals and remembered names are answered at once, without a thread.

    `ttl` and `negative_ttl` are seconds; `capacity` is the number of names remembered (least recently used go first).
    """

    def __init__(
        self,
        reactor: Clock,
        *,
        threads: int = 32,
        timeout: float = 10.0,
        ttl: float = 300.0,
        negative_ttl: float = 60.0,
        capacity: int = 10_000,
        getaddrinfo: GetAddrInfo = socket.getaddrinfo,
    ) -> None:
        self._clock = reactor
        self._timeout = timeout
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self._capacity = capacity
        self._remembered: OrderedDict[str, tuple[float, Resolution]] = OrderedDict()
        self._waiting: dict[str, _Lookup] = {}
        self._threads = _Threads(reactor, threads, getaddrinfo)
        self._closed = False

    def resolve(self, host: str) -> Deferred[Resolution]:
        """Resolve a canonical host name or IP literal; never errbacks. Cancelling it leaves the look-up to the others."""
        known = self.known(host)
        if known is not None:
            return succeed(known)
        if self._closed:
            return succeed(NoAddress("the resolver is closed"))
        lookup = self._waiting.get(host)
        if lookup is None:
            lookup = self._waiting[host] = self._start(host)
        waiter: Deferred[Resolution] = Deferred(lookup.leave)
        lookup.waiters.append(waiter)
        return waiter

    def known(self, host: str) -> Resolution | None:
        """Return what can be said of `host` without asking anybody, or None."""
        entry = self._remembered.get(host)
        if entry is not None:
            expires, resolution = entry
            if self._clock.seconds() < expires:
                self._remembered.move_to_end(host)
                return resolution
            del self._remembered[host]
        literal = parse_address(host) if host[-1:] == "]" or host[-1:].isdigit() else None
        return Addresses((str(literal),)) if literal is not None else None

    def _start(self, host: str) -> _Lookup:
        lookup = _Lookup(self._clock.callLater(self._timeout, self._expired, host))
        self._threads.submit(host, lookup, self._answered)
        return lookup

    def _answered(self, host: str, resolution: Resolution, ttl_is_short: bool) -> None:
        """Take the answer of a thread; it may come after the waiters have been told that time is up."""
        if self._closed:
            return
        if isinstance(resolution, Addresses):
            keep = self._ttl
        else:
            keep = min(TEMPORARY_TTL, self._negative_ttl) if ttl_is_short else self._negative_ttl
        self._settle(host, resolution, keep)

    def _expired(self, host: str) -> None:
        self._settle(host, NoAddress(f"dns: no answer within {self._timeout:g} s", timed_out=True), TEMPORARY_TTL)

    def _settle(self, host: str, resolution: Resolution, keep: float) -> None:
        self._remembered[host] = (self._clock.seconds() + keep, resolution)
        self._remembered.move_to_end(host)
        if len(self._remembered) > self._capacity:
            self._remembered.popitem(last=False)
        lookup = self._waiting.pop(host, None)
        if lookup is not None:
            lookup.finish(resolution)

    def close(self) -> Deferred[None]:
        """Tell all waiters that there is no address; fires when the threads have ended, or after `CLOSE_WAIT` seconds."""
        self._closed = True
        waiting, self._waiting = self._waiting, {}
        for lookup in waiting.values():
            lookup.finish(NoAddress("the resolver is closed"))
        return self._threads.close()


class _Lookup:
    """One look-up under way and those who wait for it."""

    def __init__(self, timer: IDelayedCall) -> None:
        self.waiters: list[Deferred[Resolution]] = []
        self.over = False  # read by the threads: what nobody waits for any more is not looked up
        self._timer = timer

    def leave(self, waiter: Deferred[Resolution]) -> None:
        """Take out a waiter that was cancelled."""
        self.waiters.remove(waiter)

    def finish(self, resolution: Resolution) -> None:
        """Tell everybody."""
        self.over = True
        if self._timer.active():
            self._timer.cancel()
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter.callback(resolution)


Answer = Callable[[str, Resolution, bool], None]


class _Threads:
    """Daemon threads, started as they are needed: a stuck system resolver must not hold up the end of the process."""

    def __init__(self, reactor: Clock, limit: int, getaddrinfo: GetAddrInfo) -> None:
        self._reactor = reactor
        self._limit = limit
        self._getaddrinfo = getaddrinfo
        self._names: queue.SimpleQueue[tuple[str, _Lookup, Answer] | None] = queue.SimpleQueue()
        self._alive = 0
        self._pending = 0  # names handed over and not answered yet
        self._ended: Deferred[None] | None = None

    def submit(self, host: str, lookup: _Lookup, answer: Answer) -> None:
        """Have `host` looked up; `answer` is called in the reactor's thread, unless `lookup` was over before its turn came."""
        self._pending += 1
        if self._pending > self._alive and self._alive < self._limit:
            self._start_thread()
        self._names.put((host, lookup, answer))

    def _start_thread(self) -> None:
        """Start one more; if the system has none to give, the name waits for another, or for its time limit."""
        try:
            threading.Thread(target=self._work, name=f"dns-{self._alive + 1}", daemon=True).start()
        except RuntimeError:
            return
        self._alive += 1

    def _work(self) -> None:
        while (item := self._names.get()) is not None:
            host, lookup, answer = item
            if lookup.over:
                self._reactor.callFromThread(self._skipped)
                continue
            resolution, temporary = look_up(host, self._getaddrinfo)
            self._reactor.callFromThread(self._done, answer, host, resolution, temporary)
        self._reactor.callFromThread(self._thread_ended)

    def _skipped(self) -> None:
        self._pending -= 1

    def _done(self, answer: Answer, host: str, resolution: Resolution, temporary: bool) -> None:
        self._pending -= 1
        answer(host, resolution, temporary)

    def _thread_ended(self) -> None:
        self._alive -= 1
        if self._alive == 0 and self._ended is not None and not self._ended.called:
            self._ended.callback(None)

    def close(self) -> Deferred[None]:
        """Let every thread end after the name it is busy with."""
        if self._ended is not None or self._alive == 0:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        self._ended = ended
        for _ in range(self._alive):
            self._names.put(None)
        limit = self._reactor.callLater(CLOSE_WAIT, self._give_up)
        ended.addCallback(lambda _: limit.cancel() if limit.active() else None)
        return ended

    def _give_up(self) -> None:
        if self._ended is not None and not self._ended.called:
            self._ended.callback(None)


_TEMPORARY: Final = {socket.EAI_AGAIN, socket.EAI_MEMORY, socket.EAI_SYSTEM}


def look_up(host: str, getaddrinfo: GetAddrInfo = socket.getaddrinfo) -> tuple[Resolution, bool]:
    """Ask the system; return the answer and whether a failure may be gone soon. Blocks, never raises."""
    try:
        answers = getaddrinfo(host, None, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except socket.gaierror as error:
        return NoAddress(f"{host}: {error.strerror or error}"), error.errno in _TEMPORARY
    except UnicodeError:  # the idna codec's, for labels too long or empty (python/cpython#77139)
        return NoAddress(f"{host}: not a valid host name"), False
    except Exception as error:  # out of descriptors, a broken nss module: a failed look-up, not a hung one
        return NoAddress(f"{host}: {sentence(error)}"), True
    addresses = interleave([str(answer[4][0]) for answer in answers])
    if not addresses:
        return NoAddress(f"{host}: no address"), False
    return Addresses(addresses), False


def interleave(addresses: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses, each once, the families taking turns (RFC 8305 section 4), at most `MAX_ADDRESSES`."""
    families: dict[bool, list[str]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(":" in address, []).append(address)
    ordered: list[str] = []
    queues = list(families.values())
    for turn in range(max((len(one) for one in queues), default=0)):
        ordered += [one[turn] for one in queues if turn < len(one)]
    return tuple(ordered[:MAX_ADDRESSES])
