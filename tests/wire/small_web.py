"""Sites of a few pages on loopback, in the test's own process: what each path answers is a function of how often it was asked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

from twisted.internet import reactor
from twisted.internet.defer import DeferredList, maybeDeferred
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site


class Reply(NamedTuple):
    """An answer, sent `delay` seconds after the request came (None: never)."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    delay: float | None = 0.0


class Hit(NamedTuple):
    """One request as the site saw it."""

    at: float  # the reactor's seconds
    host: str
    path: str
    in_flight: int  # requests open on this host, this one included


Page = Callable[[int], Reply]
"""What a path answers when it is asked for the n-th time (from 1)."""


def html(*hrefs: str, head: str = "", delay: float | None = 0.0, **headers: str) -> Page:
    """Return a page with these links."""
    links = "".join(f'<a href="{href}">{href}</a>' for href in hrefs)
    body = f"<!doctype html><title>t</title>{head}{links}".encode()
    return lambda _: Reply(200, body, {"content-type": "text/html", **headers}, delay)


def text(body: str, delay: float = 0.0) -> Page:
    return lambda _: Reply(200, body.encode(), {"content-type": "text/plain"}, delay)


def status(code: int, *, delay: float = 0.0, **headers: str) -> Page:
    return lambda _: Reply(code, b"", {name.replace("_", "-"): value for name, value in headers.items()}, delay)


def moved(to: str) -> Page:
    return status(302, location=to)


def first(*pages: Page) -> Page:
    """Answer as the first page the first time, as the second the second time, and so on; the last one stays."""
    return lambda count: pages[min(count, len(pages)) - 1](count)


class _Root(Resource):
    isLeaf = True

    def __init__(self, web: SmallWeb) -> None:
        super().__init__()
        self._web = web

    def render_GET(self, request: Request) -> Any:
        host = request.getHost().host
        path = request.uri.decode("latin-1")
        reply = self._web.reply(host, path)
        request.notifyFinish().addBoth(lambda _: self._web.over(host))
        if reply.delay is None:
            return NOT_DONE_YET
        call = reactor.callLater(reply.delay, self._send, request, reply)
        request.notifyFinish().addErrback(lambda _: call.active() and call.cancel())
        return NOT_DONE_YET

    @staticmethod
    def _send(request: Request, reply: Reply) -> None:
        request.setResponseCode(reply.status)
        for name, value in reply.headers.items():
            request.setHeader(name, value)
        request.setHeader("content-length", str(len(reply.body)))
        request.write(reply.body)
        request.finish()


class SmallWeb:
    """The same port on 127.0.0.1 and its neighbours. `pages` is by path, or by "host/path" for one host alone."""

    def __init__(self, pages: dict[str, Page], hosts: int) -> None:
        self.pages = pages
        self.hits: list[Hit] = []
        self._open: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self.addresses = [f"127.0.0.{number}" for number in range(1, hosts + 1)]
        self.channels: list[Any] = []
        self._site = Site(_Root(self))
        self._site.displayTracebacks = False
        build = self._site.buildProtocol

        def remembered(address: Any) -> Any:
            self.channels.append(build(address))
            return self.channels[-1]

        self._site.buildProtocol = remembered
        self._ports = [reactor.listenTCP(0, self._site, interface=self.addresses[0])]
        self.port: int = self._ports[0].getHost().port
        self._ports += [reactor.listenTCP(self.port, self._site, interface=address) for address in self.addresses[1:]]

    def url(self, path: str = "/", host: int = 1) -> str:
        return f"http://127.0.0.{host}:{self.port}{path}"

    def reply(self, host: str, path: str) -> Reply:
        self._open[host] = self._open.get(host, 0) + 1
        self.hits.append(Hit(reactor.seconds(), host, path, self._open[host]))
        key = f"{host}{path}"
        self._asked[key] = self._asked.get(key, 0) + 1
        page = self.pages.get(key) or self.pages.get(path) or status(404)
        return page(self._asked[key])

    def over(self, host: str) -> None:
        self._open[host] -= 1

    def paths(self, host: int = 1) -> list[str]:
        """Return the paths asked of a host, in order."""
        return [hit.path for hit in self.hits if hit.host == f"127.0.0.{host}"]

    def times(self, path: str, host: int = 1) -> list[float]:
        return [hit.at for hit in self.hits if (hit.host, hit.path) == (f"127.0.0.{host}", path)]

    async def close(self) -> None:
        for channel in self.channels:
            if channel._channel.transport is not None:
                channel._channel.transport.abortConnection()
        await DeferredList([maybeDeferred(port.stopListening) for port in self._ports])


@contextlib.asynccontextmanager
async def small_web(pages: dict[str, Page], hosts: int = 1) -> AsyncIterator[SmallWeb]:
    web = SmallWeb(pages, hosts)
    try:
        yield web
    finally:
        await web.close()


def pairs(times: list[float]) -> Iterator[float]:
    """Yield the gaps between times in a row."""
    for before, after in pairwise(times):
        yield after - before
