"""An agent of a test's own, the requests made with it, and the ends they have."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from scripted_server import ScriptedServer
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.tcp import Client
from twisted.python.failure import Failure
from twisted.web.client import readBody
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from crawler.fetch.agent import Agent, Limits
from crawler.fetch.dns import Resolver
from crawler.fetch.guard import Guard

LOOPBACK = ["127.0.0.0/8"]


def clients() -> list[Any]:
    """Return the sockets of clients that the reactor knows of."""
    return [one for one in (*reactor.getReaders(), *reactor.getWriters()) if isinstance(one, Client)]


@contextlib.asynccontextmanager
async def an_agent(names: dict[str, str] | None = None, **limits: Any) -> AsyncIterator[Agent]:
    """Give an agent that may connect to loopback addresses; closed, it has no socket and no thread."""

    def getaddrinfo(host: str, *_: Any) -> list[Any]:
        return [(None, None, None, "", ((names or {})[host], 0))]

    known = {"timeout": 5.0, "connect_timeout": 2.0} | limits
    agent = Agent(reactor, limits=Limits(**known), guard=Guard((), LOOPBACK), resolver=Resolver(reactor, getaddrinfo=getaddrinfo))
    try:
        yield agent
    finally:
        await agent.close()
    assert clients() == []


async def pause(seconds: float) -> None:
    await deferLater(reactor, seconds, lambda: None)


def get(agent: Agent, url: str, method: bytes = b"GET", body: Any = None) -> Deferred[Any]:
    return agent.request(method, url.encode(), None, body)


async def get_body(agent: Agent, url: str, method: bytes = b"GET", body: Any = None) -> bytes:
    content: bytes = await readBody(await get(agent, url, method, body))
    return content


def asking(agent: Agent, url: str, **more: Any) -> Deferred[bytes]:
    return Deferred.fromCoroutine(get_body(agent, url, **more))


def cause(raised: Any) -> Any:
    return raised.value.reasons[0].value


def lengths(server: ScriptedServer) -> list[int]:
    return [len(one.requests) for one in server.conversations]


class Notes(Protocol):
    """Gathers a body and how it ended; `hold` pauses once that many bytes are in."""

    def __init__(self, hold: int | None = None) -> None:
        self.body = b""
        self.hold = hold
        self.ended: Deferred[Any] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.body += data
        if self.hold is not None and len(self.body) >= self.hold:
            self.transport.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(reason.value)


@implementer(IBodyProducer)
class Endless:
    """A body of 100 MB, written as it is taken; it ends as `stop` says, after `upto` bytes."""

    def __init__(self, length: Any = 100 * 2**20, upto: int | None = None, stop: Deferred[Any] | None = None) -> None:
        self.length = length
        self.upto = length if upto is None else upto
        self.written = 0
        self.stopped = self.paused = self._coming = False
        self._stop = stop
        self._consumer: Any = None
        self._done: Deferred[Any] = Deferred()

    def startProducing(self, consumer: Any) -> Deferred[Any]:
        self._consumer = consumer
        self._soon()
        return self._done

    def _soon(self) -> None:
        if not self._coming:
            self._coming = True
            reactor.callLater(0, self._write)

    def _write(self) -> None:
        self._coming = False
        if self.stopped or self.paused:
            return
        piece = b"x" * min(65536, self.upto - self.written)
        self.written += len(piece)
        self._consumer.write(piece)
        if self.stopped:
            return
        if self.written < self.upto:
            self._soon()
        elif self._stop is None:
            self._done.callback(None)
        else:
            self._stop.addBoth(self._done.callback)

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self._soon()

    def stopProducing(self) -> None:
        self.stopped = True
