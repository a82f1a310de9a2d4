"""A small web for treq over the agent."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from crawler.fetch.agent import Agent, Limits
from crawler.fetch.guard import Guard

BODY = b"a page " * 20_000


class Web(Resource):
    """Twisted's own server, with a path for each thing that treq does."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.connections: set[Any] = set()

    def render(self, request: Any) -> Any:
        self.connections.add(request.channel)
        return getattr(self, f"do_{request.path.decode().strip('/')}")(request)

    def do_echo(self, request: Any) -> bytes:
        """Tell what was asked."""
        fields = {
            name.decode().lower(): [value.decode("latin-1") for value in values]
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        told = {"method": request.method.decode(), "uri": request.uri.decode(), "fields": fields}
        told["body"] = request.content.read().decode("latin-1")
        told["cookies"] = {name.decode(): value.decode() for name, value in request.received_cookies.items()}
        return json.dumps(told).encode()

    def do_gzip(self, request: Any) -> bytes:
        request.setHeader(b"Content-Encoding", b"gzip")
        return gzip.compress(BODY)

    def do_large(self, request: Any) -> bytes:
        return BODY

    def do_chunks(self, request: Any) -> int:
        for number in range(5):
            reactor.callLater(number * 0.01, request.write, b"%d" % number * 10)
        reactor.callLater(0.06, request.finish)
        return NOT_DONE_YET

    def do_login(self, request: Any) -> bytes:
        request.addCookie(b"session", b"42", path=b"/")
        return b"welcome"

    def do_moved(self, request: Any) -> bytes:
        request.redirect(b"/echo?from=moved")
        return b"over there"

    def do_round(self, request: Any) -> bytes:
        request.redirect(b"/round")
        return b""

    def do_hang(self, request: Any) -> int:
        request.notifyFinish().addErrback(lambda _: None)
        return NOT_DONE_YET


@contextlib.asynccontextmanager
async def a_web(**limits: Any) -> AsyncIterator[tuple[Agent, str, Web]]:
    """Give an agent that may connect to loopback addresses, and a server with its URL."""
    web = Web()
    site = Site(web, timeout=None)
    site.noisy = False
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    agent = Agent(reactor, limits=Limits(**{"timeout": 10.0} | limits), guard=Guard((), ["127.0.0.0/8"]))
    try:
        yield agent, f"http://127.0.0.1:{port.getHost().port}", web
    finally:
        await agent.close()
        await port.stopListening()


async def told(response: Any) -> dict[str, Any]:
    assert response.code == 200
    answer: dict[str, Any] = json.loads(await response.content())
    return answer
