"""Requests within their limits: so many in flight in all and to each host, and the delay between two to one host.

Each request waits in its host's queue until politeness says that the host may be asked. One timer serves all hosts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from crawler import url as urls
from crawler.config import Settings
from crawler.fetch.client import Fetch
from crawler.model import Conditional, Fetched, FetchFailed
from crawler.policy.host_limits import limits_of
from crawler.policy.outage import Outages
from crawler.policy.politeness import Politeness

_SWEEP: Final = 0.5  # seconds between two looks at idle hosts


class _Request:
    """One request: waiting, under way, or over. `errand`: it is for a robots.txt."""

    __slots__ = ("conditional", "done", "errand", "host", "max_body", "sent", "under_way", "url")

    def __init__(
        self, url: str, done: Deferred[Fetched | FetchFailed], max_body: int | None, conditional: Conditional | None, *, errand: bool
    ) -> None:
        self.url = url
        self.host = urls.host(url)
        self.done = done
        self.max_body = max_body
        self.conditional = conditional
        self.errand = errand
        self.under_way: Deferred[Fetched | FetchFailed] | None = None
        self.sent = False


class Requests:
    """Makes each request when its turn has come."""

    def __init__(self, clock: IReactorTime, fetch: Fetch, settings: Settings, *, has_room: Callable[[], bool]) -> None:
        """`has_room` says whether what comes after the fetch can take more; call `pump` when it can again."""
        self._clock = clock
        self._fetch = fetch
        self._concurrency = settings.fetch.concurrency
        self._has_room = has_room
        self.politeness = Politeness(limits_of(settings.politeness))
        self._outages = Outages(settings.fetch.retry_delay)
        self._waiting: dict[str, deque[_Request]] = {}
        self._timer: Any = None
        self._swept_at = clock.seconds()
        self.in_flight = 0

    @property
    def hosts(self) -> int:
        """How many hosts have requests waiting."""
        return len(self._waiting)

    def ask(
        self, url: str, *, max_body: int | None = None, conditional: Conditional | None = None, errand: bool = False
    ) -> Deferred[Fetched | FetchFailed]:
        """Fetch `url` when its host may be asked; an errand goes before the host's other requests, takes any media type, and ends at
        `max_body` bytes.

        Fires with a value whatever the web does. Cancelling takes it out of the queue, or closes its connection.
        """
        request = _Request(url, Deferred(lambda _: self._call_off(request)), max_body, conditional, errand=errand)
        queue = self._waiting.setdefault(request.host, deque())
        if errand:
            queue.appendleft(request)
        else:
            queue.append(request)
        if self._outages.given_up(request.host):
            self._give_up(request.host)
        else:
            self._offer(request.host)
        self.pump()
        return request.done

    def pause(self, host: str, seconds: float) -> None:
        """Let `host` rest."""
        self.politeness.pause(host, self._clock.seconds() + seconds)

    def set_delay(self, host: str, seconds: float) -> None:
        """Ask `host` no more often than every `seconds`."""
        self.politeness.set_delay(host, seconds, self._clock.seconds())

    def close(self) -> None:
        """Call off what waits and what is under way."""
        for queue in list(self._waiting.values()):
            for request in list(queue):
                request.done.cancel()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def pump(self) -> None:
        """Have requests made in the reactor's next turn, as many as there is room for."""
        self._set_timer(0.0 if self._may_start() else None)

    def _may_start(self) -> bool:
        return bool(self._waiting) and self.in_flight < self._concurrency and self._has_room()

    def _set_timer(self, delay: float | None) -> None:
        if self._timer is not None and self._timer.active():
            if delay is not None and self._timer.getTime() <= self._clock.seconds() + delay:
                return
            self._timer.cancel()
        self._timer = None if delay is None else self._clock.callLater(delay, self._pump)

    def _pump(self) -> None:
        now = self._clock.seconds()
        while self._may_start():
            host = self.politeness.acquire(now)
            if host is None:
                break
            self._start_next(host, now)
        at = self.politeness.next_time() if self._may_start() else None
        self._set_timer(None if at is None else max(0.0, at - now))
        if now - self._swept_at > _SWEEP:
            self._swept_at = now
            self.politeness.sweep(now)

    def _offer(self, host: str) -> None:
        if host in self._waiting:
            self.politeness.offer(host, self._clock.seconds())

    def _take(self, host: str, request: _Request | None = None) -> _Request | None:
        """Take a request, by default the next one, out of its host's queue."""
        queue = self._waiting.get(host)
        if queue is None:
            return None
        if request is None:
            request = queue.popleft()
        else:
            queue.remove(request)
        if not queue:
            del self._waiting[host]
        return request

    def _start_next(self, host: str, now: float) -> None:
        request = self._take(host)
        if request is None:  # called off since the host was scheduled
            return

        def sent(at: float) -> None:
            self.politeness.sent(host, at, again=request.sent)
            request.sent = True
            self._offer(host)
            self.pump()

        self.in_flight += 1
        self.politeness.start(host, now)
        accept = () if request.errand else None
        request.under_way = self._fetch(
            request.url, max_body=request.max_body, accept=accept, conditional=request.conditional, on_sent=sent, cut=request.errand
        )
        request.under_way.addBoth(self._over, request)
        self._offer(host)

    def _over(self, result: Fetched | FetchFailed | Failure, request: _Request) -> None:
        host = request.host
        self.in_flight -= 1
        self.politeness.finish(host, was_sent=request.sent)
        if not isinstance(result, Failure):
            self._learn(host, result)
        self._offer(host)
        self.pump()
        if isinstance(result, Failure):
            request.done.errback(result)
        else:
            request.done.callback(result)

    def _learn(self, host: str, answer: Fetched | FetchFailed) -> None:
        """Notice hosts that are down. A failure matters only while others wait for the host: so what is kept is bounded."""
        if isinstance(answer, FetchFailed) and host not in self._waiting:
            return
        if rest := self._outages.learn(host, answer):
            self.pause(host, rest)
        if self._outages.given_up(host):
            self._give_up(host)

    def _give_up(self, host: str) -> None:
        """Answer all that waits for a host that is down."""
        found = self._outages.given_up(host)
        while found and (request := self._take(host)) is not None:
            reason, detail = found
            request.done.callback(FetchFailed(request.url, reason, detail, None, time.time(), 0.0))

    def _call_off(self, request: _Request) -> None:
        """Be the canceller of a request."""
        if request.under_way is not None:
            request.under_way.cancel()
        else:
            self._take(request.host, request)
