"""A fixed list of URLs: as many answers as URLs, in the same order, whatever the web does.

The list-of-URLs mode, for the command line (``crawl batch``) and as a Python call, `gather_pages`. Theory:

* Every URL of the list has one Deferred, and Twisted's `gatherResults` keeps their order. What the web does wrong is a
  `Page` with a reason, so the gathering itself never fails for it.
* All that is asked, robots.txt and redirects included, passes through one queue by host (`requests`): so many in flight, so
  many to each host, and its delay between two, by the same `policy.politeness` as a crawl's.
* `gate` answers whether a URL may be asked at all: robots.txt, fetched once however many wait; and for addresses the guard,
  which lets a URL of the list, but not what it redirects to, be on a private network.
* `visits` is the path of one URL: gate, fetch, retry, redirect, and its body decoded and read in a worker process.
* `ordered` is for lists longer than memory: a bounded part of the list is in work, and answers leave in order.

Nothing here imports a reactor: it comes as a parameter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from crawler.batch.ordered import Ordered
from crawler.batch.page import Hop, Page, Wanted, record_of
from crawler.batch.visits import Batch
from crawler.config import DEFAULTS, Settings

__all__ = ["Batch", "Hop", "Ordered", "Page", "Wanted", "gather_pages", "record_of"]


def gather_pages(
    urls: Iterable[str | Wanted], *, reactor: Any, settings: Settings = DEFAULTS, bodies: bool = True, links: bool = True
) -> Deferred[list[Page]]:
    """Fetch every URL of a list; fire with one page for each, in their order.

    A URL that stands in the list twice is fetched once; one that is none has a page that says so. A `Wanted` has validators, too, and
    its page may be ``not_modified``. `settings` are those of a crawl:
    `politeness`, `fetch` and `parse` count. `bodies` and `links`: whether pages have them; all pages are in memory together.

    Never fails for what the web does; fails with `WorkersDied` when no parse worker can be kept alive, and with
    CancelledError when cancelled. Either way everything is closed before it fires: no process, socket or timer is left.
    Raises ValueError for what `settings.fetch` holds and cannot be used: a header, a network, a host pattern; and InvalidConfig for its
    sites and cookies.
    """
    listed = list(urls)
    batch = Batch(reactor, settings, bodies=bodies, links=links, expected=len(listed))
    gathered = gatherResults([batch.page(url) for url in listed], consumeErrors=True)

    def close(result: list[Page] | Failure) -> Deferred[Any]:
        return batch.close().addCallback(lambda _: _unwrapped(result))

    return gathered.addBoth(close)


def _unwrapped(result: list[Page] | Failure) -> list[Page] | Failure:
    """Return the failure itself instead of the FirstError that gatherResults wraps it in."""
    if isinstance(result, Failure) and isinstance(result.value, FirstError):
        return result.value.subFailure
    return result
