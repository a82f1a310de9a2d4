"""One way to fetch many slow pages, in a process of its own; `execution_models.py` runs it and reads what it prints.

python benchmarks/execution_clients.py reactor --requests 1000 --seconds 0.5 < urls
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent)]

from c10k_clients import PATIENCE, Watch, crawler_request, run_reactor  # noqa: E402


def one_after_another(urls: list[str], requests: int, seconds: float) -> Watch:
    """Make each request once the one before has been answered, over one session of requests."""
    from requests import Session

    session = Session()
    watch = Watch(requests)
    for url in itertools.islice(itertools.cycle(urls), requests):
        watch.begun += 1
        answer = session.get(url, timeout=seconds + PATIENCE)
        watch.ended(answer.status_code, len(answer.content))
    session.close()
    return watch


def a_thread_each(urls: list[str], requests: int, seconds: float) -> Watch:
    """Make each request in a thread of its own with requests; as many as the system lets start."""
    from requests import get

    watch, counting = Watch(requests), threading.Lock()

    def ask(url: str) -> None:
        try:
            answer = get(url, timeout=seconds + PATIENCE)
            with counting:
                watch.ended(answer.status_code, len(answer.content))
        except Exception as problem:
            with counting:
                watch.broke(problem)

    threads = [threading.Thread(target=ask, args=(url,)) for url in itertools.islice(itertools.cycle(urls), requests)]
    for thread in threads:
        try:
            thread.start()
        except RuntimeError as problem:
            watch.problem = f"{problem} after {watch.begun}"
            break
        watch.begun += 1
    for thread in threads[: watch.begun]:
        thread.join()
    return watch


def twisted_request(reactor: Any, _requests: int, _seconds: float) -> tuple[Callable[[str, Watch], Any], Callable[[], Any]]:
    """Return what asks through treq over Twisted's own Agent, and what closes it."""
    from treq.client import HTTPClient
    from twisted.internet.defer import Deferred
    from twisted.web.client import Agent, HTTPConnectionPool

    pool = HTTPConnectionPool(reactor, persistent=False)
    client = HTTPClient(Agent(reactor, connectTimeout=PATIENCE, pool=pool))

    async def fetch(url: str, watch: Watch) -> None:
        answer = await client.get(url)
        watch.ended(answer.code, len(await answer.content()))

    def ask(url: str, watch: Watch) -> None:
        Deferred.fromCoroutine(fetch(url, watch)).addErrback(watch.broke)

    return ask, pool.closeCachedConnections


def on_the_reactor(urls: list[str], requests: int, seconds: float) -> Watch:
    """Make all requests from one reactor, with treq over our agent, as the crawler makes them."""
    return run_reactor(crawler_request, urls, requests, seconds)


def on_the_reactor_with_twisted(urls: list[str], requests: int, seconds: float) -> Watch:
    """Make all requests from one reactor, with treq over Twisted's Agent."""
    return run_reactor(twisted_request, urls, requests, seconds)


MODELS = {
    "sequence": one_after_another,
    "threads": a_thread_each,
    "reactor-twisted": on_the_reactor_with_twisted,
    "reactor": on_the_reactor,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=0.5, help="what the servers take for an answer")
    parser.add_argument("--core", type=int, help="the CPU core to stay on")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    urls = sys.stdin.read().split()
    print(json.dumps(MODELS[arguments.model](urls, arguments.requests, arguments.seconds).result()))


if __name__ == "__main__":
    main()
