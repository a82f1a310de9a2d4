"""treq, and Twisted's own agents, on top of `Agent`: whatever they can do on top of Twisted's Agent they can do here."""

from __future__ import annotations

import base64
import gzip
import io
import json
from http.cookiejar import CookieJar
from typing import Any

import pytest
from treq.client import HTTPClient
from treq_web import BODY, a_web, told
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.web.client import ContentDecoderAgent, CookieAgent, FileBodyProducer, GzipDecoder, RedirectAgent, ResponseFailed, readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IClientRequest, IResponse
from zope.interface import implementer
from zope.interface.verify import verifyObject

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
