"""The agent's deadlines and cancelling, in each stage of an exchange."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from asking_agent import LOOPBACK, Endless, an_agent, cause, clients, get, lengths, pause
from scripted_server import ScriptedServer, answer, serving
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.web.client import ResponseFailed, readBody

from crawler.fetch.agent import Agent, Limits
from crawler.fetch.dns import Resolver
from crawler.fetch.failures import TimedOut
from crawler.fetch.guard import Guard


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """Listen with a backlog that is full: connections stay half open."""
    with socket.socket() as deaf, contextlib.ExitStack() as stack:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        yield deaf.getsockname()[1]


STAGES = ["queue", "dns", "connect", "tls", "head", "upload", "body"]


@contextlib.asynccontextmanager
async def a_stage(stage: str, **limits: Any) -> AsyncIterator[tuple[ScriptedServer, Callable[[], Deferred[Any]]]]:
    """Give a server and what makes a request that does not get beyond `stage`."""
    gate = threading.Event()
    stalled = Resolver(reactor, timeout=9, getaddrinfo=lambda *_: gate.wait(3) and [])
    head = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"]
    with serving({"/": [5.0], "/body": head, "/upload": ["deaf"]}) as server, deaf_port() as deaf:
        known = {"timeout": 5.0, "per_origin": 1} | limits
        agent = Agent(reactor, limits=Limits(**known), guard=Guard((), LOOPBACK), resolver=stalled if stage == "dns" else None)
        urls = {"dns": "http://named.test/", "connect": f"http://127.0.0.1:{deaf}/", "tls": server.url().replace("http", "https")}
        url = urls.get(stage) or server.url(f"/{stage}" if stage in ("body", "upload") else "/")
        first = get(agent, server.url()) if stage == "queue" else succeed(None)

        def ask() -> Deferred[Any]:
            if stage == "upload":
                return get(agent, url, b"POST", Endless())
            return get(agent, url).addCallback(readBody) if stage == "body" else get(agent, url)

        try:
            yield server, ask
            await pause(0.05)
            assert len(clients()) == (1 if stage == "queue" and not first.called else 0)
        finally:
            gate.set()
            first.addErrback(lambda _: None)
            await agent.close()


@pytest.mark.parametrize("stage", STAGES)
async def test_the_whole_deadline_holds_in_every_stage(stage: str) -> None:
    async with a_stage(stage, timeout=0.4) as (server, ask):
        begun = reactor.seconds()
        if stage == "queue":
            await pause(0.1)  # so that the first request's time is up first, unless it is the queue's own that counts
            asked = ask()
            assert server.conversations[0].open
        else:
            asked = ask()
        with pytest.raises(ResponseFailed) as raised:
            await asked
        assert isinstance(cause(raised), TimedOut)
        assert 0.3 < reactor.seconds() - begun < 1.5
        said = {"upload": "head", "queue": "head"}.get(stage, stage)  # the queue ends with the first request: then it is its turn
        assert str(cause(raised)).startswith(f"{said}: not finished within 0.4 s")


async def test_waiting_in_the_queue_counts() -> None:
    with serving({"/": [0.5, answer()]}) as server:
        async with an_agent(timeout=0.2, per_origin=1) as agent:
            blocker, waiting = get(agent, server.url()), get(agent, server.url())
            for one, stage in ((blocker, "head"), (waiting, "queue")):
                with pytest.raises(ResponseFailed) as raised:
                    await one
                assert str(cause(raised)) == f"{stage}: not finished within 0.2 s"
        assert lengths(server) == [1]


@pytest.mark.parametrize("stage", STAGES)
async def test_cancelling_leaves_nothing_open_in_any_stage(stage: str) -> None:
    async with a_stage(stage) as (server, ask):
        asked = ask()
        await pause(0.15)
        asked.cancel()
        with pytest.raises(CancelledError):
            await asked
        await pause(0.1)
        if stage == "upload":
            server.conversations[0].transport.resumeProducing()  # it reads nothing, and so does not see the end
            await pause(0.3)
        assert sum(one.open for one in server.conversations) == (stage == "queue")
