"""The parts list: the one place where concrete classes meet."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.task import deferLater

from crawler import url as urls
from crawler.config import Settings
from crawler.engine import Engine
from crawler.errands import RobotsErrands
from crawler.extras import wanted_of
from crawler.fetch.client import Fetcher
from crawler.fetch.dns import Resolver
from crawler.fetch.endpoint import Resolves
from crawler.fetch.guard import Guard
from crawler.fetch.proxy import read_proxies
from crawler.fetch.sites import Session, make_session
from crawler.fetch.tls import Trust
from crawler.frontier.sqlite import SqliteFrontier, seed_redirects
from crawler.frontier.window import Window
from crawler.job import Job
from crawler.lag import LagMeter
from crawler.model import Link, Via
from crawler.parse.pool import ParsePool
from crawler.policy.admit import DEPTH_RULE, Door, make_door
from crawler.policy.host_limits import limits_of
from crawler.policy.politeness import Politeness
from crawler.policy.robots import RobotsCache, RobotsEntry, product_token
from crawler.recent import RecentKeys
from crawler.store.commit import Committed, Writer
from crawler.store.home import Home
from crawler.store.operations import Admission
from crawler.store.outbox import Outbox
from crawler.store.outputs import StreamOutput, encoder
from crawler.store.refused import Refusal
from crawler.visit import Parts, Visitor, candidate

_ROBOTS_RESTORED = 10_000


def build_crawl(
    reactor: Any,
    job: Job,
    home: Home,
    *,
    stream: Callable[[bytes], object] | None = None,
    stream_format: str = "jsonl",
    on_stall: Callable[[float, str], None] | None = None,
    resolver: Resolves | None = None,
    session: Session | None = None,
    outbox: Outbox | None = None,
) -> Engine:
    """Put a crawl together in an open home whose files are open; `Engine.run` starts it.

    `stream` takes each record's line once it is durable. `on_stall(seconds, stack)` is told when the reactor was held up.
    `resolver` stands in for the system's; it is closed with the crawl. `session` is that of the job's settings, if it was made before.
    `outbox` is given where this is one of several processes of a crawl: see `crawler.shards`.
    """
    settings = job.settings
    scope, polite = settings.scope, settings.politeness
    token, now = product_token(polite.user_agent), reactor.seconds()
    door = _make_door(job, home, outbox)
    frontier = SqliteFrontier(home.connection, depth=scope.depth, host_budget=scope.max_pages_per_host)
    politeness = Politeness(limits_of(polite), began=now if home.resumed else None)  # the last run may have asked any host just now
    window = _restore_hosts(frontier, politeness, now)
    robots = _restore_robots(home, settings, token, politeness, now)
    fetcher = _make_fetcher(reactor, job, resolver or Resolver(reactor), session)
    pool = ParsePool(reactor, settings.parse, token, wanted=wanted_of(job))
    writer = _make_writer(reactor, settings, home, frontier, door)
    writer.streams += [StreamOutput(encoder(stream_format), stream)] if stream is not None else []
    recent = RecentKeys() if scope.depth is None else None
    parts = Parts(fetcher.fetch, pool.parse, writer.submit, time.time, lambda: deferLater(reactor, 0))
    errands = RobotsErrands(parts, robots=robots, door=door, sitemaps=scope.sitemaps)
    engine = Engine(
        clock=reactor,
        wall=time.time,
        settings=settings,
        seeds=_seeds(job, door, outbox),
        writer=writer,
        window=window,
        politeness=politeness,
        robots=robots,
        errands=errands,
        visitor=Visitor(parts, door=door, robots=robots, recent=recent, settings=settings, robots_token=token),
        pool=pool,
        lag=LagMeter(reactor, threshold=settings.service.stall_threshold, on_stall=on_stall),
        closers=[fetcher.close, pool.stop],
    )
    return _connected(engine, outbox, writer, door)


def _make_door(job: Job, home: Home, outbox: Outbox | None) -> Door:
    extensions = seed_redirects(home.connection) if outbox is None else outbox.extensions()
    return make_door(job.seeds, job.settings, extensions, year=time.gmtime().tm_year)


def _make_writer(reactor: Any, settings: Settings, home: Home, frontier: SqliteFrontier, door: Door) -> Writer:
    writer = Writer(home, frontier, settings.store, reactor, keep_edges=settings.scope.depth is not None)
    writer.admits = lambda link: door.admit(link) in (None, DEPTH_RULE)
    return writer


def _connected(engine: Engine, outbox: Outbox | None, writer: Writer, door: Door) -> Engine:
    """Let `outbox` take what is others', know the scope, and hear of every transaction, after the engine."""
    if outbox is None:
        return engine
    writer.outbox, outbox.is_seed, outbox.extend = outbox, door.is_seed, door.extend
    first = writer.on_committed

    def both(committed: Committed) -> None:
        first(committed)
        outbox.on_committed()

    writer.on_committed = both
    return engine


def _make_fetcher(reactor: Any, job: Job, resolver: Resolves, session: Session | None) -> Fetcher:
    fetch = job.settings.fetch
    return Fetcher(
        reactor,
        fetch,
        user_agent=job.settings.politeness.user_agent,
        resolver=resolver,
        guard=Guard(job.seeds, fetch.allow_addresses),
        trust=Trust(insecure=fetch.insecure),
        proxies=read_proxies(fetch),
        session=session or make_session(fetch, now=time.time),
        keep_heads=job.settings.store.archive,
    )


def _seeds(job: Job, door: Door, outbox: Outbox | None) -> Admission:
    candidates, refused = [], []
    for url in job.seeds if outbox is None else filter(lambda url: outbox.owns(urls.host(url)), job.seeds):
        link = Link(url, Via.SEED, 0)
        rule = door.admit(link)
        if rule is None:
            candidates.append(candidate(link, urls.fingerprint(url)))
        else:
            refused.append(Refusal(urls.fingerprint(url), url, rule, None))
    return Admission(candidates, refused)


def _restore_hosts(frontier: SqliteFrontier, politeness: Politeness, now: float) -> Window:
    """Bring back the queues that an earlier run left, and the rest that hosts had asked for."""
    wall = time.time()
    window = Window()
    for host, queued, paused_until in frontier.waiting_hosts():
        window.restore(host, queued)
        if paused_until > wall:
            politeness.pause(host, now + paused_until - wall)
    return window


def _restore_robots(home: Home, settings: Settings, token: str, politeness: Politeness, now: float) -> RobotsCache:
    """Bring back the robots.txt files that an earlier run learnt, and the delays that they ask for."""
    polite = settings.politeness
    robots = RobotsCache(token, ttl=polite.robots_ttl, obey=polite.robots, max_delay=polite.max_delay, fetch=settings.fetch)
    rows = home.connection.execute("SELECT origin, entry FROM robots LIMIT ?", (_ROBOTS_RESTORED,)).fetchall()
    for origin, entry in rows:
        robots.restore(msgspec.json.decode(entry, type=RobotsEntry))
        delay = robots.delay(origin)
        if delay is not None:
            politeness.set_delay(urls.host(f"{origin}/"), delay, now)
    return robots
