"""treq, and Twisted's own agents, on top of `Agent`: whatever they can do on top of Twisted's Agent they can do here."""

from __future__ import annotations

import base64
import contextlib
import gc
import gzip
import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.web.client import ContentDecoderAgent, CookieAgent, FileBodyProducer, GzipDecoder, RedirectAgent, ResponseFailed, readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IClientRequest, IResponse
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer
from zope.interface.verify import verifyObject

from crawler.fetch.agent import Agent, Limits
from crawler.fetch.guard import Guard
from crawler.fetch.trimmed import TrimmedClient

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


# Interfaces


async def test_the_interfaces_are_complete() -> None:
    async with a_web() as (agent, url, _):
        assert verifyObject(IAgent, agent)
        response = await agent.request(b"GET", url.encode() + b"/large#part")
        assert verifyObject(IResponse, response)
        assert verifyObject(IClientRequest, response.request)
        assert (response.version, response.code, response.phrase, response.length) == ((b"HTTP", 1, 1), 200, b"OK", len(BODY))
        assert response.headers.getRawHeaders("content-type") == ["text/html"]
        assert (response.request.method, response.request.absoluteURI) == (b"GET", url.encode() + b"/large")
        assert response.previousResponse is None
        assert await readBody(response) == BODY
        with pytest.raises(RuntimeError, match="once"):
            response.deliverBody(Protocol())


# Requests


async def test_get_with_params_and_fields() -> None:
    async with a_web() as (agent, url, web):
        client = HTTPClient(agent)
        for _ in range(3):
            seen = await told(
                await client.get(url + "/echo?a=1", params={"b": "zwei ü"}, headers={"X-One": ["1", "2"], "User-Agent": "test"})
            )
            assert (seen["method"], seen["uri"]) == ("GET", "/echo?a=1&b=zwei+%C3%BC")
            assert seen["fields"]["x-one"] == ["1", "2"]
            assert seen["fields"]["user-agent"] == ["test"]
            assert seen["fields"]["host"] == [url.removeprefix("http://")]
        assert len(web.connections) == 1


async def test_a_host_field_replaces_ours_and_framing_stays_ours() -> None:
    async with a_web() as (agent, url, _):
        headers = Headers({"Host": ["other.test"], "Content-Length": ["7"], "Transfer-Encoding": ["chunked"], "X": ["a\r\nEvil: 1"]})
        seen = json.loads(await readBody(await agent.request(b"GET", url.encode() + b"/echo", headers)))
        assert seen["fields"]["host"] == ["other.test"]
        assert {"content-length", "transfer-encoding", "evil"}.isdisjoint(seen["fields"])


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "POST", "PURGE"])
async def test_other_methods_without_body(method: str) -> None:
    async with a_web() as (agent, url, web):
        for _ in range(2):
            response = await HTTPClient(agent).request(method, url + "/echo")
            body = await response.content()
            if method == "HEAD":
                assert (body, response.length) == (b"", 0)
                assert int(response.headers.getRawHeaders("content-length")[0]) > 0
            else:
                seen = json.loads(body)
                assert (seen["method"], seen["body"]) == (method, "")
                assert seen["fields"].get("content-length") == (["0"] if method in ("PUT", "PATCH", "POST") else None)
        assert len(web.connections) <= 2  # without a body to wait for, treq asks again before the connection is free


async def test_post_bytes_json_form_and_files() -> None:
    async with a_web() as (agent, url, web):
        client = HTTPClient(agent)
        seen = await told(await client.post(url + "/echo", data=b"raw \x00\xff bytes"))
        assert seen["body"] == "raw \x00\xff bytes"
        seen = await told(await client.put(url + "/echo", json={"a": [1, None]}))
        assert (json.loads(seen["body"]), seen["fields"]["content-type"]) == ({"a": [1, None]}, ["application/json; charset=UTF-8"])
        seen = await told(await client.post(url + "/echo", data={"a": "1", "b": "x&y"}))
        assert seen["body"] == "a=1&b=x%26y"
        seen = await told(await client.post(url + "/echo", files={"f": ("name.txt", io.BytesIO(b"content of the file"))}, data={"k": "v"}))
        assert seen["fields"]["content-type"][0].startswith("multipart/form-data; boundary=")
        assert 'filename="name.txt"' in seen["body"]
        assert "content of the file" in seen["body"]
        assert int(seen["fields"]["content-length"][0]) == len(seen["body"])
        seen = await told(await client.post(url + "/echo", data=io.BytesIO(BODY)))
        assert seen["body"].encode() == BODY
        assert len(web.connections) == 1


@implementer(IBodyProducer)
class Pieces:
    """A body whose length is not known."""

    length = UNKNOWN_LENGTH

    def startProducing(self, consumer: Any) -> Deferred[None]:
        for piece in (b"one ", b"", b"two"):
            consumer.write(piece)
        return deferLater(reactor, 0.02, consumer.write, b" three")

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def stopProducing(self) -> None: ...


async def test_a_body_of_unknown_length_is_chunked() -> None:
    async with a_web() as (agent, url, web):
        for _ in range(2):
            seen = await told(await HTTPClient(agent).post(url + "/echo", data=Pieces()))
            assert (seen["body"], seen["fields"]["transfer-encoding"]) == ("one two three", ["chunked"])
            assert "content-length" not in seen["fields"]
        assert len(web.connections) == 1


# Answers


async def test_gzip_is_decoded_by_treq_and_by_twisted() -> None:
    async with a_web() as (agent, url, _):
        assert await (await HTTPClient(agent).get(url + "/gzip")).content() == BODY
        decoding = ContentDecoderAgent(agent, [(b"gzip", GzipDecoder)])
        assert await readBody(await decoding.request(b"GET", url.encode() + b"/gzip")) == BODY
        assert gzip.decompress(await readBody(await agent.request(b"GET", url.encode() + b"/gzip"))) == BODY


async def test_collect_json_text_and_an_answer_in_pieces() -> None:
    async with a_web() as (agent, url, _):
        client = HTTPClient(agent)
        pieces: list[bytes] = []
        response = await client.get(url + "/chunks", unbuffered=True)
        assert response.length is UNKNOWN_LENGTH
        await response.collect(pieces.append)
        assert b"".join(pieces) == b"".join(b"%d" % number * 10 for number in range(5))
        assert len(pieces) > 1
        assert (await (await client.get(url + "/echo")).json())["method"] == "GET"
        buffered = await client.get(url + "/large")
        assert await buffered.text() == await buffered.text() == BODY.decode()


async def test_a_collector_that_raises_ends_the_body() -> None:
    async with a_web() as (agent, url, web):
        response = await HTTPClient(agent).get(url + "/large", unbuffered=True)
        with pytest.raises(ZeroDivisionError):
            await response.collect(lambda _: 1 / 0)
        assert (await HTTPClient(agent).get(url + "/echo")).code == 200
        assert len(web.connections) == 2


async def test_cookies() -> None:
    async with a_web() as (agent, url, _):
        client = HTTPClient(agent)
        response = await client.get(url + "/login")
        assert response.cookies()["session"] == "42"
        assert (await told(await client.get(url + "/echo")))["cookies"] == {"session": "42"}
        assert (await told(await HTTPClient(agent).get(url + "/echo", cookies={"mine": "1"})))["cookies"] == {"mine": "1"}
        twisted = CookieAgent(agent, CookieJar())
        await readBody(await twisted.request(b"GET", url.encode() + b"/login"))
        seen = json.loads(await readBody(await twisted.request(b"GET", url.encode() + b"/echo")))
        assert seen["cookies"] == {"session": "42"}


async def test_redirects_and_their_history() -> None:
    async with a_web() as (agent, url, _):
        client = HTTPClient(agent)
        response = await client.get(url + "/moved")
        assert (await told(response))["uri"] == "/echo?from=moved"
        assert [earlier.code for earlier in response.history()] == [302]
        assert response.request.absoluteURI == url.encode() + b"/echo?from=moved"
        assert (await client.get(url + "/moved", allow_redirects=False)).code == 302
        twisted = await RedirectAgent(agent).request(b"GET", url.encode() + b"/moved")
        assert json.loads(await readBody(twisted))["uri"] == "/echo?from=moved"
        assert twisted.previousResponse.code == 302
        with pytest.raises(ResponseFailed):
            await RedirectAgent(agent, 3).request(b"GET", url.encode() + b"/round")


async def test_an_answer_nobody_reads_costs_a_connection_until_its_time_is_up() -> None:
    """As a redirect's body that treq leaves unread, when it is too long to come with the head."""
    async with a_web(timeout=0.3) as (agent, url, _):
        response = await agent.request(b"GET", url.encode() + b"/chunks")
        await deferLater(reactor, 0.4, lambda: None)
        with pytest.raises(ResponseFailed):
            await readBody(response)


async def test_basic_auth() -> None:
    async with a_web() as (agent, url, _):
        seen = await told(await HTTPClient(agent).get(url + "/echo", auth=("me", "pass:word")))
        assert seen["fields"]["authorization"] == ["Basic " + base64.b64encode(b"me:pass:word").decode()]
        seen = await told(await HTTPClient(agent).get(url.replace("//", "//me:word@") + "/echo"))
        assert seen["fields"]["host"] == [url.removeprefix("http://")]


async def test_treqs_timeout() -> None:
    async with a_web() as (agent, url, web):
        with pytest.raises(CancelledError):
            await HTTPClient(agent).get(url + "/hang", timeout=0.1, reactor=reactor)
        await deferLater(reactor, 0.02, lambda: None)
        assert all(channel.transport.disconnected for channel in web.connections)


async def test_cancelling_readbody_closes_the_connection() -> None:
    async with a_web() as (agent, url, web):
        reading = readBody(await agent.request(b"GET", url.encode() + b"/chunks"))
        reading.cancel()
        with pytest.raises(CancelledError):
            await reading
        await deferLater(reactor, 0.02, lambda: None)
        assert all(channel.transport.disconnected for channel in web.connections)
        await deferLater(reactor, 0.06, lambda: None)  # the server goes on for a while


async def test_twisteds_own_producer_of_a_file() -> None:
    async with a_web() as (agent, url, _):
        producer = FileBodyProducer(io.BytesIO(BODY))
        response = await agent.request(b"POST", url.encode() + b"/echo", Headers({}), producer)
        assert json.loads(await readBody(response))["body"].encode() == BODY


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
