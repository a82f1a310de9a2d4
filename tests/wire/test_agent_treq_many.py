"""Ten thousand requests leave nothing behind; the trimmed client; what the documentation says."""

from __future__ import annotations

import contextlib
import gc
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from treq.client import HTTPClient
from treq_web import a_web, told
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.web.http_headers import Headers

from crawler.fetch.agent import Agent, Limits
from crawler.fetch.guard import Guard
from crawler.fetch.trimmed import TrimmedClient

# Nothing grows


class Canned(Protocol):
    """Answers each head at once, a POST's before its body has come, and keeps nothing."""

    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: a=b\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self.answer * data.count(b"\r\n\r\n"))

    def connectionLost(self, reason: Any = connectionDone) -> None:
        pass


@contextlib.contextmanager
def canned() -> Iterator[str]:
    factory = Factory.forProtocol(Canned)
    factory.noisy = False
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    yield f"http://127.0.0.1:{port.getHost().port}/"
    port.stopListening()


def counts() -> tuple[int, int, int]:
    gc.collect()
    return len(gc.get_objects()), len(list(Path("/proc/self/fd").iterdir())), len(reactor.getDelayedCalls())


async def test_ten_thousand_requests_leave_nothing_behind() -> None:
    with canned() as url:
        agent = Agent(reactor, guard=Guard((), ["127.0.0.0/8"]))
        client = HTTPClient(agent)

        async def ask(times: int) -> None:
            for number in range(times):
                data = {"data": b"x" * 10} if number % 10 == 9 else {}
                response = await client.request("POST" if data else "GET", url, headers={"X": "1"}, **data)
                assert len(await response.content()) == 2000
                if number % 100 == 99:
                    await deferLater(reactor, 0, succeed, None)

        await ask(1000)
        before = counts()
        await ask(9000)
        after = counts()
        await agent.close()
    assert after[0] - before[0] < 500, "objects"
    assert after[1:] == before[1:], "descriptors, timers"


# The documentation


def documented() -> dict[str, Any]:
    """Run the code of docs/agent.md and return what it defines."""
    text = (Path(__file__).parents[2] / "docs" / "agent.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "docs/agent.md", "exec"), names)
    return names


async def test_the_documentations_code() -> None:
    names = documented()
    async with a_web() as (_, url, _):
        code, text, posted = await names["with_treq"](reactor, url + "/echo")
        assert (code, json.loads(text)["uri"], posted) == (200, "/echo?page=1", 200)
        code, content = await names["with_twisted"](reactor, url + "/echo")
        assert (code, json.loads(content)["method"]) == (200, "POST")
        assert (await names["why_not"](reactor, url)).endswith("is a loopback address")


def test_the_documentation_names_every_limit_with_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "agent.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    said = {
        name: value
        for row in rows
        for names, value in re.findall(r"((?:`\w+`(?:, )?)+) ([\d.]+|none)", row)
        for name in re.findall(r"\w+", names)
    }
    limits = Limits()
    assert said == {name: f"{value:g}" if (value := getattr(limits, name)) is not None else "none" for name in limits.__struct_fields__}


class Noting:
    """An agent that notes what it is asked, and answers nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def request(self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None) -> Deferred[Any]:
        self.asked.append((method, uri, headers, bodyProducer))
        return Deferred()


def test_the_trimmed_client_hands_a_plain_request_straight_to_its_agent() -> None:
    agent, headers = Noting(), Headers({"A": ["b"]})
    TrimmedClient(agent).request("GET", "http://a.test/%7e?b=c", headers=headers)
    assert agent.asked == [(b"GET", b"http://a.test/%7e?b=c", headers, None)]
    assert agent.asked[0][2] is headers


async def test_the_trimmed_client_does_all_that_treqs_does_when_it_is_asked_to() -> None:
    async with a_web() as (agent, url, _):
        client = TrimmedClient(agent)
        seen = await told(await client.get(url + "/echo"))
        assert "accept-encoding" not in seen["fields"]
        answer = await client.post(url + "/echo", json={"a": 1}, params={"q": "1"}, cookies={"c": "d"})
        seen = await told(answer)
        assert (seen["method"], seen["uri"], json.loads(seen["body"]), seen["cookies"]) == ("POST", "/echo?q=1", {"a": 1}, {"c": "d"})
