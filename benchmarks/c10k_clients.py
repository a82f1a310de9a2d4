"""Many slow requests at once from one process, over our agent or with a thread for each; `c10k.py` runs it and reads what it prints.

python benchmarks/c10k_clients.py agent --requests 10000 --seconds 20 < urls
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path[:0] = [str(Path(__file__).parent.parent)]

BEAT = 0.01
"""Seconds between two beats of the timer whose lateness is the lag."""
AT_ONCE = 25
"""Requests begun in one turn of the reactor."""
PATIENCE = 120.0
"""Seconds for an answer in excess of what the servers take."""


class Watch:
    """Counts requests, measures memory, and the lag while the requests begin, while all are under way, and while they end."""

    def __init__(self, requests: int) -> None:
        self.requests = requests
        self.begun = self.answered = self.failed = 0
        self.problem = ""
        self.lags: dict[str, list[float]] = {"begin": [], "under way": [], "end": []}
        self.busy: dict[str, list[float]] = {"begin": [], "under way": [], "end": []}  # CPU seconds between two beats
        self.before = resident()
        self.under_way = 0  # bytes, all requests being under way
        self._due = self._spent = 0.0
        self._since = (time.monotonic(), cpu())

    @property
    def over(self) -> bool:
        return self.answered + self.failed >= self.requests

    def beat(self) -> None:
        """Note how late this is, and the memory from time to time."""
        now, spent = time.monotonic(), time.process_time()
        if self._due:
            phase = "end" if self.answered + self.failed else "under way" if self.begun == self.requests else "begin"
            self.lags[phase].append(max(0.0, now - self._due))
            self.busy[phase].append(spent - self._spent)
            if phase == "under way" and len(self.lags[phase]) % 50 == 0:
                self.under_way = resident()
        self._due, self._spent = now + BEAT, spent

    def ended(self, status: int, size: int) -> None:
        """Count an answer."""
        if status == 200 and size == 1000:
            self.answered += 1
        else:
            self.failed += 1
            self.problem = self.problem or f"status {status}, {size} bytes"

    def broke(self, problem: object) -> None:
        """Count a request that got none."""
        self.failed += 1
        self.problem = self.problem or str(problem)

    def result(self) -> dict[str, Any]:
        """Return what is printed: memory in bytes, times in seconds."""
        began, spent = self._since
        return {
            "begun": self.begun,
            "answered": self.answered,
            "problem": self.problem,
            "before": self.before,
            "under_way": self.under_way,
            "peak": peak(),
            "lags": {phase: high(lags) for phase, lags in self.lags.items()},
            "busy": {phase: high(times) for phase, times in self.busy.items()},
            "seconds": time.monotonic() - began,
            "cpu": cpu() - spent,
        }


def high(times: list[float]) -> dict[str, float] | None:
    """Return the highest of some times and their 99th percentile; None if there are none."""
    ordered = sorted(times)
    return {"p99": ordered[int(0.99 * (len(ordered) - 1))], "max": ordered[-1]} if ordered else None


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident() -> int:
    """Return the resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def peak() -> int:
    """Return the greatest resident memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# Our agent


def agent_request(reactor: Any, _requests: int, seconds: float) -> tuple[Callable[[str, Watch], Any], Callable[[], Any]]:
    """Return what asks our agent for a URL, and what closes it."""
    from twisted.web.client import ResponseDone

    from crawler.fetch.agent import Agent, Limits
    from crawler.fetch.body import GatheredBody
    from crawler.fetch.guard import Guard

    limits = Limits(timeout=seconds + PATIENCE, first_byte_timeout=seconds + PATIENCE, connect_timeout=PATIENCE)
    agent = Agent(reactor, limits=limits, guard=Guard((), allowed=["127.0.0.0/8"]))

    def head_came(response: Any, watch: Watch) -> None:
        def body_came(reason: Any) -> None:
            watch.ended(response.code if reason.check(ResponseDone) else 0, len(body.content()))

        body = GatheredBody(body_came)
        response.deliverBody(body)

    def ask(url: str, watch: Watch) -> None:
        agent.request(b"GET", url.encode()).addCallback(head_came, watch).addErrback(watch.broke)

    return ask, agent.close


def crawler_request(reactor: Any, requests: int, seconds: float) -> tuple[Callable[[str, Watch], Any], Callable[[], Any]]:
    """Return what asks for a URL as the crawler does, through treq, and what closes it."""
    from crawler.config import FetchSettings
    from crawler.fetch.client import Fetcher
    from crawler.fetch.dns import Resolver
    from crawler.fetch.guard import Guard
    from crawler.model import FetchFailed

    patience = seconds + PATIENCE
    settings = FetchSettings(concurrency=requests, timeout=patience, first_byte_timeout=patience, connect_timeout=PATIENCE)
    guard = Guard((), allowed=["127.0.0.0/8"])
    fetcher = Fetcher(reactor, settings, user_agent="Crawl/benchmark", resolver=Resolver(reactor), guard=guard)

    def came(found: Any, watch: Watch) -> None:
        if isinstance(found, FetchFailed):
            watch.broke(f"{found.reason}: {found.detail}")
        else:
            watch.ended(found.status, len(found.body))

    def ask(url: str, watch: Watch) -> None:
        fetcher.fetch(url).addCallback(came, watch).addErrback(watch.broke)

    return ask, fetcher.close


def run_reactor(make: Callable[..., Any], urls: list[str], requests: int, seconds: float) -> Watch:
    """Make all requests from one reactor."""
    from twisted.internet import reactor
    from twisted.internet.defer import maybeDeferred

    clock: Any = reactor
    clock.seconds = time.monotonic  # as the crawler has it
    ask, close = make(clock, requests, seconds)
    watch = Watch(requests)
    turns = itertools.cycle(urls)

    def begin() -> None:
        for _ in range(min(AT_ONCE, requests - watch.begun)):
            watch.begun += 1
            ask(next(turns), watch)
        if watch.begun < requests:
            clock.callLater(0, begin)

    def beat() -> None:
        watch.beat()
        if watch.over:
            maybeDeferred(close).addErrback(watch.broke).addBoth(lambda _: clock.stop())
        else:
            clock.callLater(BEAT, beat)

    clock.callWhenRunning(beat)
    clock.callWhenRunning(begin)
    clock.run()
    return watch


# A thread for each


def run_threads(urls: list[str], requests: int, seconds: float) -> Watch:
    """Make each request in a thread of its own, of the default stack size; as many as the system lets start."""
    watch = Watch(requests)
    counting = threading.Lock()

    def ask(netloc: str) -> None:
        connection = http.client.HTTPConnection(netloc, timeout=seconds + PATIENCE)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            size = len(answer.read())
            with counting:
                watch.ended(answer.status, size)
        except Exception as problem:
            with counting:
                watch.broke(problem)
        finally:
            connection.close()

    def beat() -> None:
        while not watch.over:
            watch.beat()
            time.sleep(BEAT)

    netlocs = itertools.cycle([urlsplit(url).netloc for url in urls])
    threads = [threading.Thread(target=beat)]
    threads[0].start()
    for _ in range(requests):
        thread = threading.Thread(target=ask, args=(next(netlocs),))
        try:
            thread.start()
        except RuntimeError as problem:
            watch.problem = f"{problem} after {watch.begun}"
            watch.requests = watch.begun
            break
        watch.begun += 1
        threads.append(thread)
    for thread in threads:
        thread.join()
    return watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("client", choices=["agent", "crawler", "threads"])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="what the servers take for an answer")
    parser.add_argument("--core", type=int, help="the CPU core to stay on")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    urls = sys.stdin.read().split()
    if arguments.client == "threads":
        watch = run_threads(urls, arguments.requests, arguments.seconds)
    else:
        make = agent_request if arguments.client == "agent" else crawler_request
        watch = run_reactor(make, urls, arguments.requests, arguments.seconds)
    print(json.dumps(watch.result()))


if __name__ == "__main__":
    main()
