"""A fetcher behind a proxy, and servers for it to reach."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from crawler.config import FetchSettings
from crawler.fetch.client import Fetcher
from crawler.fetch.dns import Resolution, Resolver
from crawler.fetch.guard import Guard
from crawler.fetch.proxy import read_proxies
from crawler.fetch.tls import Trust


class LiteralsOnly(Resolver):
    """A resolver that fails the test when it is asked for a name."""

    def resolve(self, host: str) -> Deferred[Resolution]:
        assert self.known(host) is not None, f"{host} was to be resolved at the proxy"
        return super().resolve(host)


def make_fetcher(proxy_url: str, *seeds: str, trust: Trust | None = None, word: str = "wörd", **settings: Any) -> Fetcher:
    """Fetch through one proxy; a user in its URL has the password `word`."""
    known: dict[str, Any] = {"timeout": 8.0, "connect_timeout": 5.0, "proxies": {"all": proxy_url}} | settings
    if "@" in proxy_url:
        known["proxy_password"] = "env:WORD"
    chosen = FetchSettings(**known)
    return Fetcher(
        reactor,
        chosen,
        user_agent="Crawl/0",
        resolver=LiteralsOnly(reactor),
        guard=Guard(seeds),
        trust=trust,
        proxies=read_proxies(chosen, {"WORD": word}),
    )


async def fetch_once(fetcher: Fetcher, url: str) -> Any:
    got = await fetcher.fetch(url)
    await fetcher.close()
    return got
