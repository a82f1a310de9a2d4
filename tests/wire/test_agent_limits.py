"""How many connections the agent opens, in which order it serves, and how it is closed."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from asking_agent import Notes, an_agent, asking, clients, get, get_body, lengths, pause
from scripted_server import ScriptedServer, answer, serving
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from crawler.fetch.failures import CannotConnect

# Limits


class Counting(WrappingFactory):
    """Counts connections that are open at once."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.protocol = ProtocolWrapper
        self.noisy = False
        self.most = 0

    def registerProtocol(self, protocol: Any) -> None:
        super().registerProtocol(protocol)
        self.most = max(self.most, sum(map(is_open, self.protocols)))


def is_open(protocol: Any) -> bool:
    """Tell whether the client has a connection open; its end may wait to be read."""
    try:
        return protocol.transport.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def counting(scripts: Any) -> Iterator[tuple[ScriptedServer, Counting]]:
    factories: list[Counting] = []

    def listen(factory: Any) -> Any:
        factories.append(Counting(factory))
        return reactor.listenTCP(0, factories[0], interface="127.0.0.1")

    with serving(scripts, listen=listen) as server:
        yield server, factories[0]


@pytest.mark.parametrize(("per_origin", "behind"), [(1, 0), (4, 3)])
async def test_a_hundred_requests_to_one_origin_in_the_order_of_asking(per_origin: int, behind: int) -> None:
    with counting({f"/{number}": [0.002, answer(b"%d" % number)] for number in range(100)}) as (server, count):
        async with an_agent(per_origin=per_origin) as agent:
            asked = [asking(agent, server.url(f"/{number}")) for number in range(100)]
            assert await gatherResults(asked) == [b"%d" % number for number in range(100)]
            assert (count.most, len(server.conversations)) == (per_origin, per_origin)
            seen = [int(request.split(b" ")[1][1:]) for one in server.conversations for request in one.requests]
            assert sorted(seen) == list(range(100))
            for one in server.conversations:
                order = [int(request.split(b" ")[1][1:]) for request in one.requests]
                assert order == sorted(order)
                assert all(later - earlier <= per_origin + behind for earlier, later in itertools.pairwise(order))


async def test_ten_connections_over_thirty_origins() -> None:
    names = {f"h{number}.test": "127.0.0.1" for number in range(30)}
    with counting({"/": [0.002, answer()]}) as (server, count):
        async with an_agent(names, connections=10, idle=100) as agent:
            for _ in range(2):
                asked = [asking(agent, f"http://{name}:{server.port}/") for name in names for _ in range(3)]
                assert await gatherResults(asked) == [b"hello"] * 90
            assert 5 <= count.most <= 10
            await pause(0.02)
            assert len(clients()) >= 7, "kept for the next, but those that made room for who was served otherwise"
            assert len(server.conversations) < 180, "and used by those of their origin first"


async def test_waiters_that_are_cancelled_leave_the_queue() -> None:
    with serving({"/": [0.05, answer()], "/unwanted": [answer()]}) as server:
        async with an_agent(per_origin=1) as agent:
            wanted = [asking(agent, server.url())]
            unwanted = [get(agent, server.url("/unwanted")) for _ in range(3)]
            wanted.append(asking(agent, server.url()))
            for one in unwanted:
                one.cancel()
                with pytest.raises(CancelledError):
                    await one
            assert await gatherResults(wanted) == [b"hello"] * 2
    assert lengths(server) == [2]


async def test_a_connection_that_fails_passes_its_place_on() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        async with an_agent(per_origin=1, connections=1) as agent:
            asked = [get(agent, url) for _ in range(20)]
            for one in asked:
                with pytest.raises(CannotConnect):
                    await one


async def test_closing_ends_everything_with_cancelled_error() -> None:
    calls, readers = set(reactor.getDelayedCalls()), set(reactor.getReaders())
    late: list[Any] = []
    with serving({"/": [9.0], "/body": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 9.0], "/idle": [answer()]}) as server:
        async with an_agent(per_origin=2) as agent:
            await get_body(agent, server.url("/idle"))
            notes = Notes()
            (await get(agent, server.url("/body"))).deliverBody(notes)
            asked = [get(agent, server.url()) for _ in range(3)]
            asked[0].addErrback(lambda problem: late.append(get(agent, server.url())) or problem)
            await pause(0.05)
            await agent.close()
            for one in (*asked, *late, get(agent, server.url())):
                with pytest.raises(CancelledError):
                    await one
            assert len(late) == 1
            assert isinstance(await notes.ended, CancelledError)
            await agent.close()
        await pause(0.02)
        assert not any(one.open for one in server.conversations)
    await pause(0.02)
    assert not set(reactor.getDelayedCalls()) - calls
    assert not set(reactor.getReaders()) - readers
