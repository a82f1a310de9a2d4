"""robots.txt files to be fetched: each is a request of its host like any other, made before the host's own URLs.

A host whose next URL has an unknown robots.txt is *blocked* until it is known: one fetch, however many URLs wait. A redirect of
robots.txt to another host becomes an errand of that host, under that host's politeness.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler import url as urls
from crawler.errors import CrawlError
from crawler.model import Fetched, FetchFailed, Kind, Link, Reason, Via
from crawler.parse.decode import decode_start
from crawler.policy.admit import Door
from crawler.policy.robots import MAX_ROBOTS_BYTES, MAX_ROBOTS_FETCH, FollowRobots, RetryRobots, RobotsCache, RobotsEntry, robots_url
from crawler.store.operations import Admission
from crawler.store.refused import Refusal
from crawler.visit import Parts, Turn, candidate

_log: Final = Logger()


class Errand(Struct):
    """One robots.txt that is being fetched."""

    origin: str
    blocked: str  # the host that waits for it
    url: str
    hops: int = 0
    attempts: int = 0

    @property
    def host(self) -> str:
        """The host that is asked."""
        return urls.host(self.url)


class RobotsErrands:
    """The errands by host."""

    def __init__(
        self,
        parts: Parts,
        *,
        robots: RobotsCache,
        door: Door,
        sitemaps: bool,
    ) -> None:
        """`sitemaps`: admit the sitemaps that a robots.txt names."""
        self._fetch = parts.fetch
        self._store = parts.store
        self._robots = robots
        self._door = door
        self._sitemaps = sitemaps
        self._wall = parts.wall
        self._blocked: dict[str, Errand] = {}
        self._waiting: dict[str, deque[Errand]] = {}
        self._fresh: dict[str, tuple[str, float]] = {}  # host: the origin just settled for it, and when its robots.txt was fetched

    def __len__(self) -> int:
        return len(self._blocked)

    def blocks(self, host: str) -> bool:
        """Say whether `host` waits for a robots.txt."""
        return host in self._blocked

    def waiting(self, host: str) -> bool:
        """Say whether a request is to be made on `host` for an errand."""
        return host in self._waiting

    def need(self, origin: str, host: str) -> None:
        """Send for the robots.txt of `origin`; `host` is blocked until it is known."""
        errand = self._blocked[host] = Errand(origin, host, robots_url(origin))
        self._put(errand)

    def _put(self, errand: Errand) -> None:
        self._waiting.setdefault(errand.host, deque()).append(errand)

    def take(self, host: str) -> Errand | None:
        """Return the next errand to run on `host`."""
        queue = self._waiting.get(host)
        if queue is None:
            return None
        errand = queue.popleft()
        if not queue:
            del self._waiting[host]
        return errand

    def run(self, errand: Errand, turn: Turn) -> Deferred[str | None]:
        """Make one request of an errand; fire with the host where it goes on, or None when it is settled and durable."""

        def answered(answer: Fetched | FetchFailed) -> Deferred[Any] | str:
            turn.over(answer)
            return self._learn(errand, answer, turn)

        def faulty(failure: Failure) -> Any:
            if isinstance(failure.value, (CancelledError, CrawlError)):
                return failure
            _log.failure("fault while fetching {url}", failure=failure, url=errand.url)
            detail = failure.getErrorMessage()[:200]
            return self._learn(errand, FetchFailed(errand.url, Reason.INTERNAL, detail, None, self._wall(), 0.0), turn)

        errand.attempts += errand.hops == 0
        turn.begin()
        answer = maybeDeferred(self._fetch, errand.url, max_body=MAX_ROBOTS_FETCH, cut=True, accept=[], on_sent=turn.sent)
        return answer.addCallback(answered).addErrback(faulty)

    def _learn(self, errand: Errand, answer: Fetched | FetchFailed, turn: Turn) -> Deferred[Any] | str:
        answer, body = decode_start(answer, MAX_ROBOTS_BYTES)  # a robots.txt is small: a trip to a worker would cost more
        found = self._robots.learn(errand.origin, answer, body, self._wall(), hops=errand.hops, attempts=errand.attempts)
        match found:
            case FollowRobots():
                errand.url, errand.hops = found.url, found.hops
                self._put(errand)
                return errand.host
            case RetryRobots():
                asked = errand.host
                errand.url, errand.hops = robots_url(errand.origin), 0
                turn.pause(found.after, errand.blocked)  # the next attempt begins there
                if found.whole_host and asked != errand.blocked:
                    turn.pause(found.after, asked)
                self._put(errand)
                return errand.host
            case RobotsEntry():
                turn.storing()
                return self._store(self._admission(found)).addCallback(lambda _: self._settle(errand, found.fetched_at))

    def _admission(self, entry: RobotsEntry) -> Admission:
        """Keep the entry and admit its sitemaps in one transaction: a resumed crawl finds both or neither."""
        candidates, refused = [], []
        for sitemap in self._robots.sitemaps(entry.origin) if self._sitemaps else []:
            link = Link(sitemap, Via.ROBOTS, 0, robots_url(entry.origin), kind=Kind.SITEMAP)
            rule = self._door.admit(link)
            key = urls.fingerprint(sitemap)
            if rule is None:
                candidates.append(candidate(link, key))
            else:
                refused.append(Refusal(key, sitemap, rule, link.referrer))
        return Admission(candidates, refused, entry.origin, msgspec.json.encode(entry))

    def _settle(self, errand: Errand, fetched_at: float) -> None:
        self._blocked.pop(errand.blocked, None)
        self._fresh[errand.blocked] = (errand.origin, fetched_at)

    def as_of(self, host: str, origin: str) -> float:
        """Return when the robots.txt of `origin` has to be valid for the next URL of `host` (wall time): now, or when just fetched for it.

        So a file that expires while the host rests lets one URL through all the same, and is not fetched for ever.
        """
        settled, fetched_at = self._fresh.pop(host, ("", 0.0))
        return fetched_at if settled == origin else self._wall()
