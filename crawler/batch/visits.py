"""One batch in work: the chain of each URL of the list, what it shares with the others, and the end of it all."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from typing import Any, Final

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, gatherResults, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler import url as urls
from crawler.batch.gate import ListGuard, RobotsGate
from crawler.batch.page import Hop, Page, Wanted, bad_url, wanted_of
from crawler.batch.requests import Requests
from crawler.config import ParseSettings, Settings
from crawler.errors import CrawlError, UsageError
from crawler.fetch.client import Fetcher
from crawler.fetch.dns import Resolver
from crawler.fetch.endpoint import Resolves
from crawler.fetch.proxy import read_proxies
from crawler.fetch.sites import Session, make_session
from crawler.fetch.tls import Trust
from crawler.job import canonical_seed
from crawler.lag import LagMeter
from crawler.model import Conditional, Fetched, FetchFailed, Kind, Outcome, Parsed, Reason, Snapshot, media_type
from crawler.parse.frames import ToParse
from crawler.parse.pool import ParsePool
from crawler.policy import directives, retry, status
from crawler.policy.robots import RobotsCache, product_token
from crawler.policy.status import Classified
from crawler.rate import Rate

REMEMBERED_BYTES: Final = 64 * 1024 * 1024
"""Bytes of bodies remembered for URLs that come again in the list."""
_log: Final = Logger()


_Asked = tuple[str, Conditional | None]
"""A canonical URL and its validators: what is fetched once however often it stands in the list."""


class _Trail:
    """What a URL went through so far: the redirects followed and the requests made."""

    __slots__ = ("attempts", "conditional", "hops", "url")

    def __init__(self, url: str, conditional: Conditional | None) -> None:
        self.url = url
        self.conditional = conditional
        self.hops: list[Hop] = []
        self.attempts = 0


class Batch:
    """Fetches the URLs it is asked for, each once; `close` it at the end. Nothing runs before the first URL."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        *,
        bodies: bool = False,
        links: bool = False,
        expected: int | None = None,
        remember: int | None = None,
        resolver: Resolves | None = None,
        session: Session | None = None,
    ) -> None:
        """`bodies` and `links`: whether pages have them. `expected`: how many URLs will come at most, when that is known.

        `remember`: how many pages are kept for URLs that come again; None keeps all. `resolver` stands in for the system's.
        `session` is that of `settings`, if it was made before. Raises ValueError for what `settings.fetch` holds and cannot be used: a
        header, a network, a host pattern; InvalidConfig for its sites and cookies.
        """
        self._reactor = reactor
        self._settings = settings
        self._bodies, self._links = bodies, links
        self._remember = remember
        polite = settings.politeness
        self._token = product_token(polite.user_agent)
        self._guard = ListGuard(settings.fetch.allow_addresses)
        fetcher = Fetcher(
            reactor,
            settings.fetch,
            user_agent=polite.user_agent,
            resolver=resolver or Resolver(reactor),
            guard=self._guard,
            trust=Trust(insecure=settings.fetch.insecure),
            proxies=read_proxies(settings.fetch),
            session=session or make_session(settings.fetch, now=time.time),
        )
        self._fetcher = fetcher
        self._pool = ParsePool(reactor, _workers_for(settings.parse, expected), self._token)
        self._requests = Requests(reactor, fetcher.fetch, settings, has_room=lambda: self._pool.has_room)
        cache = RobotsCache(self._token, ttl=polite.robots_ttl, obey=polite.robots, max_delay=polite.max_delay, fetch=settings.fetch)
        self._gate = RobotsGate(reactor, self._requests, cache, time.time)
        self._waiters: dict[_Asked, list[Deferred[Page]]] = {}
        self._visits: dict[_Asked, Deferred[Page]] = {}
        self._known: OrderedDict[_Asked, Page] = OrderedDict()
        self._known_bytes = 0
        self._started_at: float | None = None
        self._answers = _Answers()
        self._lag = LagMeter(reactor, threshold=settings.service.stall_threshold)

    def page(self, given: str | Wanted) -> Deferred[Page]:
        """Fire with the page of a URL, whatever the web makes of it; a name without scheme gets ``https://``.

        A `Wanted`, or one as JSON, has validators, too. A URL that was asked for already in the same way is not fetched again. Fails only
        with CancelledError and with the CrawlError that no page can come after (`WorkersDied`).
        """
        try:
            wanted = wanted_of(given)
            asked = canonical_seed(wanted.url), wanted.conditional
        except (UsageError, ValueError) as error:
            problem = str(error).rpartition(": ")[2] if isinstance(error, UsageError) else str(error)
            return succeed(bad_url(given.url if isinstance(given, Wanted) else given, problem)).addCallback(self._count)
        known = self._known.get(asked)
        if known is not None:
            return succeed(known).addCallback(self._count)
        waiter: Deferred[Page] = Deferred()
        if asked in self._waiters:
            self._waiters[asked].append(waiter)
        else:
            self._waiters[asked] = [waiter]
            self._begin(asked)
        return waiter.addCallback(self._count)

    def _begin(self, asked: _Asked) -> None:
        if self._started_at is None:
            self._started_at = self._reactor.seconds()
            self._pool.start()
            self._lag.start()
        visit = self._visits[asked] = Deferred.fromCoroutine(self._visit(*asked))
        visit.addBoth(self._visited, asked)

    def _visited(self, result: Page | Failure, asked: _Asked) -> None:
        del self._visits[asked]
        waiters = self._waiters.pop(asked)
        if isinstance(result, Failure):
            for waiter in waiters:
                waiter.errback(result)
            return
        self._keep(asked, result)
        for waiter in waiters:
            waiter.callback(result)

    def _keep(self, asked: _Asked, page: Page) -> None:
        self._known[asked] = page
        self._known_bytes += len(page.body)
        if self._remember is None:
            return
        while len(self._known) > self._remember or (self._known and self._known_bytes > REMEMBERED_BYTES):
            _, dropped = self._known.popitem(last=False)
            self._known_bytes -= len(dropped.body)

    def _count(self, page: Page) -> Page:
        self._answers.add(page, self._reactor.seconds())
        return page

    def close(self) -> Deferred[None]:
        """Call off what is under way; fires when no process, socket, timer or thread is left. URLs without answer are cancelled."""
        for visit in list(self._visits.values()):
            visit.cancel()
        self._gate.close()
        self._requests.close()
        closing = [self._fetcher.close()]
        if self._started_at is not None:
            closing.append(self._pool.stop())
            self._lag.stop()
        return gatherResults(closing).addCallback(lambda _: None)

    # -- the path of one URL ------------------------------------------------------------------------------------

    async def _visit(self, url: str, conditional: Conditional | None) -> Page:
        self._guard.begin(url)
        trail = _Trail(url, conditional)
        try:
            return await self._follow(trail)
        except (CancelledError, CrawlError):
            raise
        except Exception as error:  # a fault of ours costs this URL alone
            _log.failure("fault while visiting {url}", url=url)
            detail = f"{type(error).__name__}: {error}"[:200]
            return _page(trail, url, Classified(Outcome.FAILED, Reason.INTERNAL, detail), None)
        finally:
            self._guard.end(url)

    async def _follow(self, trail: _Trail) -> Page:
        """Follow redirects until an answer is none; each hop asks its own origin's robots.txt and its own host's patience."""
        target = trail.url
        while True:
            refusal = await self._gate.refusal(target)
            if refusal is not None:
                reason, detail = refusal
                return _page(trail, target, Classified(status.outcome_of(reason), reason, detail), None)
            conditional = trail.conditional if not trail.hops else None  # validators say nothing about where a URL redirects to
            answer = await self._fetch(target, trail, conditional)
            classified = status.classify(answer, conditional=conditional is not None)
            following = classified.redirect_to
            if following is None or not isinstance(answer, Fetched):
                return await self._read(trail, target, answer, classified)
            problem = self._no_way(trail, target, following)
            if problem is not None:
                return _page(trail, target, Classified(Outcome.FAILED, Reason.REDIRECT, problem), answer)
            trail.hops.append(Hop(target, answer.status))
            target = following

    def _no_way(self, trail: _Trail, url: str, following: str) -> str | None:
        """Say why a redirect is not followed, or None."""
        most = self._settings.fetch.max_redirects
        if len(trail.hops) >= most:
            return f"more than {most} redirects"
        if following == url or any(hop.url == following for hop in trail.hops):
            return f"redirects in a circle, to {following}"
        return None

    async def _fetch(self, url: str, trail: _Trail, conditional: Conditional | None) -> Fetched | FetchFailed:
        """Ask until the answer is final: politely, and after the back-off that policy says."""
        attempts = 0
        while True:
            answer = await self._requests.ask(url, conditional=conditional)
            made = not (isinstance(answer, FetchFailed) and answer.reason is Reason.HOST_DOWN)
            attempts += made
            trail.attempts += made
            wall = time.time()
            if pause := retry.host_pause(answer, wall, self._settings.fetch):
                self._requests.pause(urls.host(url), pause)
            again = retry.next_attempt(answer, attempts, self._settings.fetch, wall)
            if again is None:
                return answer
            await deferLater(self._reactor, again.after)

    async def _read(self, trail: _Trail, url: str, answer: Fetched | FetchFailed, classified: Classified) -> Page:
        """Have the body decoded and read in a worker process."""
        page = _page(trail, url, classified, answer)
        if not page.ok or not isinstance(answer, Fetched):
            return page
        request = ToParse(
            url=url,
            kind=Kind.PAGE,
            content_type=answer.header("content-type"),
            encodings=answer.headers_named("content-encoding"),
            body=answer.body,
            want_links=self._links,
            want_body=self._bodies,
        )
        told = directives.header_directives(answer.headers_named("x-robots-tag"), self._token)
        parsed = await self._pool.parse(request)
        self._requests.pump()
        if parsed.reason is not None:
            return replace(page, outcome=status.outcome_of(parsed.reason), reason=parsed.reason, detail=parsed.detail or None)
        return _with_contents(page, parsed, directives.combine(told, parsed.robots))

    # -- the view ------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return how the batch stands now; `done`, `outcomes`, `reasons` and `bytes` count answers, repeated URLs each time."""
        now = self._reactor.seconds()
        stats = self._pool.stats()
        answers = self._answers
        return Snapshot(
            elapsed=0.0 if self._started_at is None else now - self._started_at,
            state="running",
            queued=len(self._visits),
            in_flight=self._requests.in_flight,
            parsing=self._pool.backlog,
            storing=0,
            done=answers.done,
            outcomes=dict(answers.outcomes),
            reasons=dict(answers.reasons),
            refused={},
            bytes=answers.bytes,
            pages_per_second=answers.rate.per_second(now),
            hosts=self._requests.hosts,
            waiting_hosts=self._requests.politeness.waiting(now)[:10],
            workers=stats.workers,
            worker_restarts=stats.restarts,
            lag=self._lag.recent(),
            lag_p99=self._lag.percentile(0.99),
        )


class _Answers:
    """What has been answered so far, in numbers."""

    def __init__(self) -> None:
        self.done = 0
        self.bytes = 0
        self.outcomes: dict[str, int] = {}
        self.reasons: dict[str, int] = {}
        self.rate = Rate()

    def add(self, page: Page, now: float) -> None:
        """Count one answer."""
        self.done += 1
        self.bytes += page.size or 0
        self.outcomes[page.outcome] = self.outcomes.get(page.outcome, 0) + 1
        if page.reason is not None:
            self.reasons[page.reason] = self.reasons.get(page.reason, 0) + 1
        self.rate.note(now, self.done)


def _workers_for(settings: ParseSettings, expected: int | None) -> ParseSettings:
    """Return the settings with no more workers than there will be URLs."""
    wanted = settings.workers or len(os.sched_getaffinity(0))
    return replace(settings, workers=max(1, min(wanted, expected if expected is not None else wanted)))


def _page(trail: _Trail, url: str, classified: Classified, answer: Fetched | FetchFailed | None) -> Page:
    """Return a page as far as it is known without its body."""
    return Page(
        url=trail.url,
        final_url=url,
        outcome=classified.outcome,
        reason=classified.reason,
        detail=classified.detail or None,
        status=answer.status if answer is not None else None,
        headers=answer.headers if answer is not None else [],
        content_type=media_type(answer.headers) if answer is not None else None,
        redirects=trail.hops,
        attempts=trail.attempts,
        ip=answer.ip if answer is not None else None,
        started_at=answer.started_at if answer is not None else None,
        elapsed=answer.elapsed if answer is not None else None,
    )


def _with_contents(page: Page, parsed: Parsed, robots: list[str]) -> Page:
    return replace(
        page,
        detail=parsed.remarks(),
        charset=parsed.charset,
        body=parsed.body,
        size=parsed.bytes,
        digest=parsed.digest,
        title=parsed.title,
        description=parsed.description,
        language=parsed.language,
        canonical=parsed.canonical,
        robots=robots,
        links=[link.url for link in parsed.links],
    )
