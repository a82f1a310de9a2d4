"""Who may be asked: the robots gate, one fetch of a robots.txt however many wait, and the guard of a list that a user named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from crawler import url as urls
from crawler.batch.requests import Requests
from crawler.fetch.guard import Guard, parse_address
from crawler.model import Reason
from crawler.parse.decode import decode_start
from crawler.policy.robots import MAX_ROBOTS_BYTES, MAX_ROBOTS_FETCH, FollowRobots, RetryRobots, RobotsCache, robots_url

Refusal = tuple[Reason, str]
_NO_ADDRESSES: Final[frozenset[IPv4Address | IPv6Address]] = frozenset()


class RobotsGate:
    """Answers whether a URL may be fetched, after its origin's robots.txt has been had."""

    def __init__(self, clock: IReactorTime, requests: Requests, cache: RobotsCache, wall: Callable[[], float]) -> None:
        """`wall`: seconds since the epoch."""
        self._clock = clock
        self._requests = requests
        self._cache = cache
        self._wall = wall
        self._waiting: dict[str, list[tuple[str, Deferred[Refusal | None]]]] = {}
        self._learning: dict[str, Deferred[None]] = {}

    def refusal(self, url: str) -> Deferred[Refusal | None]:
        """Fire with why `url` may not be fetched, or with None: it may."""
        origin = urls.origin(url)
        if self._cache.known(origin, self._wall()):
            return succeed(self._cache.refusal(url))
        waiter: Deferred[Refusal | None] = Deferred()
        if origin in self._waiting:
            self._waiting[origin].append((url, waiter))
            return waiter
        self._waiting[origin] = [(url, waiter)]
        learning = self._learning[origin] = Deferred.fromCoroutine(self._learn(origin))
        learning.addCallbacks(lambda _: self._open(origin), lambda failure: self._fail(origin, failure))
        return waiter

    def close(self) -> None:
        """Call off every robots.txt under way."""
        for learning in list(self._learning.values()):
            learning.cancel()

    def _open(self, origin: str) -> None:
        del self._learning[origin]
        delay = self._cache.delay(origin)
        if delay is not None:
            self._requests.set_delay(urls.host(f"{origin}/"), delay)
        waiting = self._waiting.pop(origin)
        for waiter, refusal in [(waiter, self._cache.refusal(url)) for url, waiter in waiting]:
            waiter.callback(refusal)

    def _fail(self, origin: str, failure: Failure) -> None:
        del self._learning[origin]
        for _, waiter in self._waiting.pop(origin):
            waiter.errback(failure)

    async def _learn(self, origin: str) -> None:
        """Fetch a robots.txt, through redirects and retries, until the cache knows what to make of it."""
        url, hops, attempts = robots_url(origin), 0, 0
        while True:
            attempts += hops == 0
            answer, body = decode_start(await self._requests.ask(url, max_body=MAX_ROBOTS_FETCH, errand=True), MAX_ROBOTS_BYTES)
            found = self._cache.learn(origin, answer, body, self._wall(), hops=hops, attempts=attempts)
            if isinstance(found, FollowRobots):
                url, hops = found.url, found.hops
            elif isinstance(found, RetryRobots):
                if found.whole_host:
                    self._requests.pause(urls.host(url), found.after)
                await deferLater(self._clock, found.after)
                url, hops = robots_url(origin), 0
            else:
                return


class ListGuard(Guard):
    """The guard of a list too long to be known beforehand: a URL of the list counts as a seed while it is in work.

    Where it redirects to does not: a page can't choose a private address for us, only the user can.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """`allowed`: see `Guard`."""
        super().__init__([], allowed)
        self._in_work: dict[str, dict[int, int]] = {}  # host, port, how many URLs
        self._own: dict[str, frozenset[IPv4Address | IPv6Address]] = {}  # what a host in work was first resolved to

    def begin(self, url: str) -> None:
        """Count the URL of the list as in work."""
        host, port = urls.host(url), urls.port(url)
        ports = self._in_work.setdefault(host, {})
        ports[port] = ports.get(port, 0) + 1
        if not self._own.get(host) and (literal := parse_address(host)) is not None:
            self._own[host] = frozenset((literal,))

    def end(self, url: str) -> None:
        """Count it no more; with the last one of a host, what the host was resolved to is forgotten."""
        host, port = urls.host(url), urls.port(url)
        ports = self._in_work[host]
        ports[port] -= 1
        if not ports[port]:
            del ports[port]
        if not ports:
            del self._in_work[host]
            self._own.pop(host, None)

    def resolved(self, host: str, addresses: Iterable[str]) -> None:
        """Note the first addresses of a host of the list; a later, different answer is judged as any address."""
        if host in self._in_work and not self._own.get(host):
            self._own[host] = frozenset(found for address in addresses if (found := parse_address(address)) is not None)

    def refusal(self, address: str, port: int) -> str | None:
        """Say why `address` (an IP literal) may not be connected to at `port`, or return None."""
        refused = super().refusal(address, port)
        if refused is None:
            return None
        parsed = parse_address(address)
        own = any(port in ports and parsed in self._own.get(host, _NO_ADDRESSES) for host, ports in self._in_work.items())
        return None if own else refused
