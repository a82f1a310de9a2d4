"""One HTTP client in a process of its own: fetches pages as fast as it can and prints what that took, as JSON.

    python benchmarks/fetch_clients.py CLIENT http://127.0.0.1:8000/ --pages 100 --size 10000 --concurrency 64 --seconds 2

`fetch.py` runs it; every client makes the same requests in the same loop, and checks status and size of each answer. It needs nothing of
the others' packages: the interpreter that has aiohttp need not have Twisted, nor the other way round.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent)]

LOOPBACK = ["127.0.0.0/8"]
Fetch = Callable[[str], Awaitable[tuple[int, int]]]
"""Fetches a URL; gives the status and the size of the body."""


class Tally:
    """Counts the answers, and the CPU time of this process, from `warm_up` seconds after the first question for `seconds` more."""

    def __init__(self, size: int, warm_up: float, seconds: float) -> None:
        self._size = size
        self._begin_at = time.perf_counter() + warm_up
        self._seconds = seconds
        self._before = self._after = (0, 0.0, 0.0)  # answers, time, CPU seconds
        self._began = self._ended = False
        self._answers = 0
        self.wrong = 0

    def goes_on(self) -> bool:
        """Tell whether to fetch one more."""
        now = time.perf_counter()
        if not self._began and now >= self._begin_at:
            self._began = True
            self._before = (self._answers, now, cpu())
        elif self._began and not self._ended and now >= self._before[1] + self._seconds:
            self._ended = True
            self._after = (self._answers, now, cpu())
        return not self._ended

    def add(self, status: int, size: int) -> None:
        """Count an answer."""
        self._answers += 1
        if status != 200 or size != self._size:
            self.wrong += 1

    def result(self) -> dict[str, Any]:
        """Return what is printed."""
        answers, seconds, spent = (after - before for after, before in zip(self._after, self._before, strict=True))
        return {"requests": answers, "seconds": seconds, "cpu": spent, "wrong": self.wrong}


def cpu() -> float:
    """Return the CPU seconds that this process has taken, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def fetch_on(fetch: Fetch, urls: Iterator[str], tally: Tally) -> None:
    """Fetch one URL after another."""
    while tally.goes_on():
        tally.add(*await fetch(next(urls)))


# Twisted's clients: each takes the reactor and the number of requests at once, and gives what fetches and what closes


def treq_over_twisted(reactor: Any, concurrency: int) -> tuple[Fetch, Callable[[], Any]]:
    from treq.client import HTTPClient
    from twisted.web.client import Agent

    pool = twisted_pool(reactor, concurrency)
    return through_treq(HTTPClient(Agent(reactor, pool=pool))), pool.closeCachedConnections


def twisted_alone(reactor: Any, concurrency: int) -> tuple[Fetch, Callable[[], Any]]:
    from twisted.web.client import Agent, readBody

    pool = twisted_pool(reactor, concurrency)
    agent = Agent(reactor, pool=pool)

    async def fetch(url: str) -> tuple[int, int]:
        response = await agent.request(b"GET", url.encode())
        return response.code, len(await readBody(response))

    return fetch, pool.closeCachedConnections


def twisted_pool(reactor: Any, concurrency: int) -> Any:
    """Return a pool that keeps all connections: the two of the default would put Twisted at a disadvantage here."""
    from twisted.web.client import HTTPConnectionPool

    pool = HTTPConnectionPool(reactor, persistent=True)
    pool.maxPersistentPerHost = concurrency
    return pool


def through_treq(client: Any) -> Fetch:
    async def fetch(url: str) -> tuple[int, int]:
        response = await client.get(url)
        return response.code, len(await response.content())

    return fetch


def our_agent(reactor: Any, concurrency: int) -> Any:
    from crawler.fetch.agent import Agent, Limits
    from crawler.fetch.guard import Guard

    return Agent(reactor, limits=Limits(idle=concurrency), guard=Guard((), allowed=LOOPBACK))


def treq_over_ours(reactor: Any, concurrency: int) -> tuple[Fetch, Callable[[], Any]]:
    from treq.client import HTTPClient

    agent = our_agent(reactor, concurrency)
    return through_treq(HTTPClient(agent)), agent.close


def ours_alone(reactor: Any, concurrency: int) -> tuple[Fetch, Callable[[], Any]]:
    from twisted.internet.defer import Deferred
    from twisted.web.client import ResponseDone

    from crawler.fetch.body import GatheredBody

    agent = our_agent(reactor, concurrency)

    async def fetch(url: str) -> tuple[int, int]:
        response = await agent.request(b"GET", url.encode())
        ended: Deferred[bool] = Deferred()
        body = GatheredBody(lambda reason: ended.callback(isinstance(reason.value, ResponseDone)))
        response.deliverBody(body)
        return response.code, len(body.content()) if await ended else 0

    return fetch, agent.close


def crawler_fetcher(reactor: Any, concurrency: int) -> tuple[Fetch, Callable[[], Any]]:
    from crawler.config import FetchSettings
    from crawler.fetch.client import Fetcher
    from crawler.fetch.dns import Resolver
    from crawler.fetch.guard import Guard
    from crawler.model import FetchFailed

    settings = FetchSettings(concurrency=concurrency)
    guard = Guard((), allowed=LOOPBACK)
    fetcher = Fetcher(reactor, settings, user_agent="Crawl/benchmark", resolver=Resolver(reactor), guard=guard)

    async def fetch(url: str) -> tuple[int, int]:
        found = await fetcher.fetch(url)
        return (0, 0) if isinstance(found, FetchFailed) else (found.status, len(found.body))

    return fetch, fetcher.close


def run_twisted(make: Callable[[Any, int], tuple[Fetch, Callable[[], Any]]], urls: Iterator[str], concurrency: int, tally: Tally) -> None:
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred, ensureDeferred, gatherResults, maybeDeferred

    problems: list[Any] = []

    async def everything() -> None:
        fetch, close = make(reactor, concurrency)
        await gatherResults([Deferred.fromCoroutine(fetch_on(fetch, urls, tally)) for _ in range(concurrency)])
        await maybeDeferred(close)

    def begin() -> None:
        ensureDeferred(everything()).addErrback(problems.append).addBoth(lambda _: reactor.stop())  # type: ignore[attr-defined]

    reactor.callWhenRunning(begin)  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]
    if problems:
        problems[0].raiseException()


async def run_aiohttp(urls: Iterator[str], concurrency: int, tally: Tally) -> None:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

        async def fetch(url: str) -> tuple[int, int]:
            async with session.get(url) as response:
                return response.status, len(await response.read())

        await asyncio.gather(*(fetch_on(fetch, urls, tally) for _ in range(concurrency)))


def run_aiohttp_on_uvloop(urls: Iterator[str], concurrency: int, tally: Tally) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_aiohttp(urls, concurrency, tally))


TWISTED = {
    "treq-twisted": treq_over_twisted,
    "twisted": twisted_alone,
    "treq-ours": treq_over_ours,
    "crawler": crawler_fetcher,
    "ours": ours_alone,
}
AIOHTTP: dict[str, Callable[[Iterator[str], int, Tally], None]] = {
    "aiohttp": lambda urls, concurrency, tally: asyncio.run(run_aiohttp(urls, concurrency, tally)),
    "aiohttp-uvloop": run_aiohttp_on_uvloop,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("client", choices=[*TWISTED, *AIOHTTP])
    parser.add_argument("site", help="with a slash at the end; its pages are page-0.html and so on")
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--size", type=int, default=10_000, help="bytes of a page")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds that are not counted")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds that are counted")
    parser.add_argument("--core", type=int, help="the CPU core to stay on")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    urls = itertools.cycle([f"{arguments.site}page-{number}.html" for number in range(arguments.pages)])
    tally = Tally(arguments.size, arguments.warm_up, arguments.seconds)
    if arguments.client in TWISTED:
        run_twisted(TWISTED[arguments.client], urls, arguments.concurrency, tally)
    else:
        AIOHTTP[arguments.client](urls, arguments.concurrency, tally)
    print(json.dumps(tally.result()))


if __name__ == "__main__":
    main()
