"""The fetcher: gives a URL's answer as a value."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers

from crawler.config import FetchSettings
from crawler.fetch.agent import Agent, Limits
from crawler.fetch.endpoint import ReactorNet, Resolves
from crawler.fetch.exchange import Equipment, Exchange, FixedHeaders, Wish
from crawler.fetch.guard import Guard
from crawler.fetch.pool import IDLE_SECONDS
from crawler.fetch.proxy import Proxies
from crawler.fetch.sites import SECRET_HEADERS, Session, conditional_fields, field_problem
from crawler.fetch.tls import Trust
from crawler.fetch.transfer import OnSent
from crawler.model import Conditional, Fetched, FetchFailed

ACCEPT: Final = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ACCEPT_ENCODING: Final = "gzip, deflate, br, zstd"


class Fetch(Protocol):
    """`Fetcher.fetch`, as its users see it."""

    def __call__(
        self,
        url: str,
        *,
        max_body: int | None = None,
        accept: Sequence[str] | None = None,
        on_sent: OnSent | None = None,
        cut: bool = False,
        conditional: Conditional | None = None,
        method: str = "GET",
    ) -> Deferred[Fetched | FetchFailed]:
        """Make one bounded exchange."""


class Fetcher:
    """Fetches URLs, keeps connections open between them, and closes everything at the end."""

    def __init__(
        self,
        reactor: ReactorNet,
        settings: FetchSettings,
        *,
        user_agent: str,
        resolver: Resolves,
        guard: Guard,
        trust: Trust | None = None,
        proxies: Proxies | None = None,
        session: Session | None = None,
        idle_seconds: float = IDLE_SECONDS,
        wall_clock: Callable[[], float] = time.time,
        keep_heads: bool = False,
    ) -> None:
        """Take the parts. The resolver becomes the fetcher's own and is closed with it.

        `keep_heads`: results have the heads as they were sent, and failed ones what came of the body, for an archive.

        Raises ValueError for a header of `settings` that cannot be sent.
        """
        self._settings = settings
        limits = Limits(
            timeout=settings.timeout,
            connect_timeout=settings.connect_timeout,
            first_byte_timeout=settings.first_byte_timeout,
            min_rate=settings.min_rate,
            idle=2 * settings.concurrency,
            idle_seconds=idle_seconds,
        )
        self._agent = Agent(reactor, limits=limits, resolver=resolver, guard=guard, trust=trust, proxies=proxies)
        headers = request_headers(user_agent, settings.headers)
        if session is not None:
            session.take_over(headers)
        self._equipment = Equipment(self._agent, FixedHeaders(headers), session, wall_clock, keep_heads)

    def fetch(
        self,
        url: str,
        *,
        max_body: int | None = None,
        accept: Sequence[str] | None = None,
        on_sent: OnSent | None = None,
        cut: bool = False,
        conditional: Conditional | None = None,
        method: str = "GET",
    ) -> Deferred[Fetched | FetchFailed]:
        """Fetch a canonical URL; the result is a value whatever the web does. Redirects are not followed.

        `max_body` (bytes on the wire) and `accept` (media types; empty: all) stand in for the settings' own. A larger body is
        a failure, or with `cut` ends there. A `conditional` request may be answered by 304; raises ValueError for validators that are
        none. The `method` is GET, or HEAD: then there is no body, whatever length is announced.
        `on_sent` is called with the reactor's time when the request has left on an open connection: never when there was
        none, and twice when a kept connection turned out dead and the request was sent again.
        The result fails only with CancelledError, which closes the connection at once, and with bugs of ours.
        """
        wish = Wish(
            limit=self._settings.max_body if max_body is None else max_body,
            accept=self._settings.accept if accept is None else accept,
            cut=cut,
            fields=conditional_fields(conditional) if conditional is not None else b"",
            method=method,
        )
        return Exchange(self._equipment, url, wish, on_sent).start()

    def close(self) -> Deferred[None]:
        """Cancel what is under way and close everything; fires when no socket, timer or thread of ours is left."""
        return self._agent.close()


def request_headers(user_agent: str, extra: dict[str, str]) -> Headers:
    """Return the fields sent with every request: ours, and those of the settings, which may replace ours.

    Raises ValueError naming a field that cannot be sent to every host.
    """
    headers = Headers({"User-Agent": [user_agent], "Accept": [ACCEPT], "Accept-Encoding": [ACCEPT_ENCODING]})
    for name, value in extra.items():
        problem = "is for one site" if name.lower() in SECRET_HEADERS else field_problem(name, value)
        if problem is not None:
            raise ValueError(f"header {name!r}: {problem}")
        headers.setRawHeaders(name, [value])
    return headers
