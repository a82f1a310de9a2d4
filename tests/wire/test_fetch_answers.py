"""What a server says, as `Fetcher` tells it: at least two cases for each way of going wrong, on real sockets."""

from __future__ import annotations

import gzip
import random
import socket

import pytest
from scripted_server import Script, answer, serving
from sites.mangled import mangled
from twisted.internet import reactor

from crawler.config import FetchSettings
from crawler.fetch.client import Fetcher
from crawler.fetch.dns import Resolver
from crawler.fetch.guard import Guard
from crawler.model import Fetched, FetchFailed, Reason

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


def make_fetcher(seed: str, **settings: object) -> Fetcher:
    known = {"timeout": 3.0, "connect_timeout": 2.0} | settings
    return Fetcher(reactor, FetchSettings(**known), user_agent="Crawl/0", resolver=Resolver(reactor), guard=Guard([seed]))


async def fetch_script(script: Script, *, greeting: Script | None = None, path: str = "/", **settings: object) -> Fetched | FetchFailed:
    with serving({path: script}, greeting) as server:
        fetcher = make_fetcher(server.url(), **settings)
        try:
            return await fetcher.fetch(server.url(path))
        finally:
            await fetcher.close()


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

WHOLE: list[tuple[str, Script, int, bytes]] = [
    ("content-length", [answer(b"hello")], 200, b"hello"),
    ("empty body", [answer(b"")], 200, b""),
    ("chunked", [CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"], 200, b"abcde"),
    ("chunked in single bytes", [bytes([b]) for b in CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"], 200, b"abc"),
    ("ends by close", [HEAD + b"\r\nuntil the end", "close"], 200, b"until the end"),
    ("http/1.0 by close", [b"HTTP/1.0 200 OK\r\n\r\nold", "close"], 200, b"old"),
    ("bare line feeds", [b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"], 200, b"ok"),
    ("no reason phrase", [b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"], 200, b"ok"),
    ("two equal lengths", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"], 200, b"ok"),
    ("chunked wins over length", [HEAD + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"], 200, b"a"),
    ("early hints", [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(b"ok")], 200, b"ok"),
    ("204", [b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b""),
    ("304", [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"], 304, b""),
    ("404 with a body", [answer(b"gone", "404 Not Found")], 404, b"gone"),
    ("999", [answer(b"go away", "999 No")], 999, b"go away"),
    ("redirect is not followed", [answer(b"", "302 Found", "Location: /elsewhere")], 302, b""),
    ("line of 20 kB", [answer(b"ok", "200 OK", "X-Long: " + "y" * 20_000)], 200, b"ok"),
    ("folded field", [b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok"], 200, b"ok"),
    ("written in two halves", [answer(b"hello")[:30], 0.02, answer(b"hello")[30:]], 200, b"hello"),
]


@pytest.mark.parametrize(("script", "status", "body"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
async def test_whole_answers(script: Script, status: int, body: bytes) -> None:
    got = await fetch_script(script)
    assert isinstance(got, Fetched), got
    assert (got.status, got.body, got.ip) == (status, body, "127.0.0.1")
    assert 0 <= got.elapsed < 3


FAILING: list[tuple[str, Script, Reason, str]] = [
    ("short length", [HEAD + b"Content-Length: 10\r\n\r\nabc", "close"], Reason.TRUNCATED, "closed before the end"),
    ("short length, reset", [HEAD + b"Content-Length: 10\r\n\r\nabc", 0.05, "reset"], Reason.TRUNCATED, "reset"),
    ("cut chunks", [CHUNKED + b"5\r\nab", "close"], Reason.TRUNCATED, "closed before the end"),
    ("no last chunk", [CHUNKED + b"2\r\nab\r\n", "close"], Reason.TRUNCATED, "closed before the end"),
    ("reset without length", [HEAD + b"\r\nabc", 0.05, "reset"], Reason.TRUNCATED, "reset"),
    ("no answer", ["close"], Reason.TRUNCATED, "closed without an answer"),
    ("reset, no answer", ["reset"], Reason.TRUNCATED, "closed without an answer"),
    ("half a head", [b"HTTP/1.1 200 OK\r\nContent-", "close"], Reason.TRUNCATED, "closed before the end"),
    ("http/0.9", [b"<html>hello</html>\r\n", "close"], Reason.BAD_HTTP, ""),
    ("icy", [b"ICY 200 OK\r\n\r\n"], Reason.BAD_HTTP, "status line"),
    ("status abc", [b"HTTP/1.1 abc OK\r\n\r\n"], Reason.BAD_HTTP, "status line"),
    ("status 0", [b"HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n"], Reason.BAD_HTTP, "status 0"),
    ("status negative", [b"HTTP/1.1 -7 Odd\r\nContent-Length: 3\r\n\r\nabc"], Reason.BAD_HTTP, "status line"),
    ("two lengths", [HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"], Reason.BAD_HTTP, "Content-Length"),
    ("length not a number", [HEAD + b"Content-Length: many\r\n\r\nab"], Reason.BAD_HTTP, ""),
    ("first field indented", [b"HTTP/1.1 200 OK\r\n X: 1\r\n\r\n"], Reason.BAD_HTTP, ""),
    ("field without colon", [b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"], Reason.BAD_HTTP, ""),
    ("space before colon", [b"HTTP/1.1 200 OK\r\nName : 1\r\n\r\n"], Reason.BAD_HTTP, "field name"),
    ("unknown transfer encoding", [HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n"], Reason.BAD_HTTP, "transfer encoding"),
    ("chunk size zz", [CHUNKED + b"zz\r\nab\r\n0\r\n\r\n"], Reason.BAD_HTTP, "Chunk"),
    ("chunk size negative", [CHUNKED + b"-1\r\nab\r\n0\r\n\r\n"], Reason.BAD_HTTP, "Chunk"),
    ("chunk size of 2 kB", [CHUNKED + b"0" * 2048 + b"1\r\na\r\n0\r\n\r\n"], Reason.BAD_HTTP, "Chunk"),
    ("head too large", [b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000 + b"\r\n"], Reason.BAD_HTTP, "head is larger"),
    ("line too long", [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n"], Reason.BAD_HTTP, "head is larger"),
    ("hints without end", [b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50_000], Reason.BAD_HTTP, "head is larger"),
    ("tls alert", [b"\x15\x03\x01\x00\x02\x02\x46", "close"], Reason.BAD_HTTP, ""),
    ("announced too large", [HEAD + b"Content-Length: 10000000000\r\n\r\nabc"], Reason.TOO_LARGE, "announced"),
    ("endless", [HEAD + b"\r\n", "endless"], Reason.TOO_LARGE, "more than"),
    ("endless chunk", [CHUNKED + b"fffffff\r\n", "endless"], Reason.TOO_LARGE, "more than"),
    ("one byte too many", [HEAD + b"\r\n" + b"x" * 100_001, "close"], Reason.TOO_LARGE, "more than"),
]


@pytest.mark.parametrize(("script", "reason", "detail"), [case[1:] for case in FAILING], ids=[case[0] for case in FAILING])
async def test_failing_answers(script: Script, reason: Reason, detail: str) -> None:
    got = await fetch_script(script, max_body=100_000)
    assert isinstance(got, FetchFailed), got
    assert got.reason is reason, got
    assert detail in got.detail
    assert got.elapsed < 1
    assert got.ip == "127.0.0.1"


@pytest.mark.parametrize(
    ("script", "stage"),
    [
        ([10.0], "head"),
        ([b"HTTP/1.1 200 OK\r\n", 10.0], "head"),
        ([HEAD + b"Content-Length: 10\r\n\r\nabc", 10.0], "body: not finished within 0.3 s, 3 bytes received"),
        ([HEAD + b"\r\n", *[step for _ in range(100) for step in (b"x", 0.05)]], "body"),
    ],
    ids=["silent", "half a head", "stalled body", "dripping body"],
)
async def test_one_deadline_over_everything(script: Script, stage: str) -> None:
    got = await fetch_script(script, timeout=0.3)
    assert isinstance(got, FetchFailed)
    assert got.reason is Reason.TIMEOUT
    assert got.detail.startswith(stage)
    assert 0.3 <= got.elapsed < 0.6


async def test_a_body_of_exactly_the_limit_is_whole() -> None:
    got = await fetch_script([HEAD + b"\r\n" + b"x" * 100_000, "close"], max_body=100_000)
    assert isinstance(got, Fetched)
    assert len(got.body) == 100_000


@pytest.mark.parametrize("length", [b"", b"Content-Length: 9999999\r\n"], ids=["unknown length", "announced"])
async def test_too_large_keeps_the_head_and_stops_the_transfer(length: bytes) -> None:
    with serving({"/": [HEAD + length + b"X-Kept: yes\r\n\r\n", "endless"]}) as server:
        fetcher = make_fetcher(server.url(), max_body=1000)
        got = await fetcher.fetch(server.url())
        ended = reactor.seconds()
        assert isinstance(got, FetchFailed)
        assert (got.reason, got.status) == (Reason.TOO_LARGE, 200)
        assert ("x-kept", "yes") in got.headers
        closed = await server.conversations[0].lost.addTimeout(2, reactor)
        assert closed - ended < 0.5
        await fetcher.close()


async def test_max_body_of_one_fetch() -> None:
    with serving({"/": [answer(b"x" * 500)]}) as server:
        fetcher = make_fetcher(server.url())
        small = await fetcher.fetch(server.url(), max_body=499)
        large = await fetcher.fetch(server.url(), max_body=500)
        await fetcher.close()
    assert isinstance(small, FetchFailed)
    assert small.reason is Reason.TOO_LARGE
    assert isinstance(large, Fetched)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "GZIP", "gzip, gzip"])
async def test_the_body_stays_as_it_came(encoding: str) -> None:
    packed = gzip.compress(b"hello" * 1000)
    got = await fetch_script([answer(packed, "200 OK", f"Content-Encoding: {encoding}")])
    assert isinstance(got, Fetched)
    assert got.body == packed
    assert got.header("content-encoding") == encoding


async def test_a_bomb_costs_nothing_here() -> None:
    packed = gzip.compress(bytes(50_000_000))
    got = await fetch_script([answer(packed, "200 OK", "Content-Encoding: gzip")], max_body=100_000)
    assert isinstance(got, Fetched)
    assert got.body == packed


async def test_headers_in_latin_1_and_utf_8() -> None:
    fields = [b"X-Latin: \xe9t\xe9", b"X-Utf: \xc3\xa9", b"X-Ctl: a\x00b\x1b[31mc", b"X-A: 1", b"x-a: 2", b"Content-Length: 0"]
    head = b"HTTP/1.1 200 OK\r\n" + b"\r\n".join(fields) + b"\r\n\r\n"
    got = await fetch_script([head])
    assert isinstance(got, Fetched)
    assert (got.header("x-latin"), got.header("x-utf"), got.header("x-ctl")) == ("été", "é", "ab[31mc")
    assert got.headers_named("x-a") == ["1", "2"]
    assert got.header("content-length") == "0"


async def test_cookies_and_locations_in_any_bytes_do_no_harm() -> None:
    head = b"HTTP/1.1 302 Found\r\nSet-Cookie: a=\xff\xfe; Domain=\xe9\r\nLocation: /caf\xc3\xa9 x\r\nContent-Length: 0\r\n\r\n"
    got = await fetch_script([head])
    assert isinstance(got, Fetched)
    assert got.header("location") == "/café x"


@pytest.mark.parametrize(
    ("accept", "content_type", "accepted"),
    [
        ([], "video/mp4", True),
        (["text/html"], "text/html; charset=utf-8", True),
        (["text/html"], "TEXT/HTML", True),
        (["text/html", "image/*"], "image/png", True),
        (["text/html"], "application/pdf", False),
        (["image/*"], "text/html", False),
    ],
)
async def test_content_type_gate(accept: list[str], content_type: str, accepted: bool) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: 5\r\n\r\n".encode()
    got = await fetch_script([head + b"hello"], accept=accept)
    assert isinstance(got, Fetched) is accepted
    if isinstance(got, FetchFailed):
        assert (got.reason, got.status) == (Reason.CONTENT_TYPE, 200)
        assert got.headers[0] == ("content-type", content_type)


async def test_the_gate_stops_the_transfer_and_lets_errors_pass() -> None:
    video = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n"
    with serving({"/": [video, "endless"], "/404": [video.replace(b"200 OK", b"404 No") + b"no", "close"]}) as server:
        fetcher = make_fetcher(server.url(), accept=["text/html"])
        got = await fetcher.fetch(server.url())
        assert isinstance(got, FetchFailed)
        await server.conversations[0].lost.addTimeout(0.5, reactor)
        missing = await fetcher.fetch(server.url("/404"))
        assert isinstance(missing, Fetched)
        unasked = await fetcher.fetch(server.url("/404"), accept=[])
        assert isinstance(unasked, Fetched)
        await fetcher.close()


async def test_what_is_sent() -> None:
    paths = ["/", "/a%2Fb;?x=%zz&y", "/operator%.html", "/p;", "/~u/'(x)'?q=a+b;c&&d="]
    with serving({path: [answer()] for path in paths}) as server:
        fetcher = make_fetcher(server.url(), headers={"X-From": "test", "Accept": "text/plain"})
        for path in paths:
            assert isinstance(await fetcher.fetch(server.url(path)), Fetched)
        await fetcher.close()
    assert [request.split(b" ")[1].decode() for request in server.requests] == paths
    lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == "GET / HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert "User-Agent: Crawl/0" in lines
    assert "Accept: text/plain" in lines
    assert "Accept-Encoding: gzip, deflate, br, zstd" in lines
    assert "X-From: test" in lines
    assert len(lines) == 6


@pytest.mark.parametrize("extra", [{"Host": "a"}, {"X": "a\r\nY: b"}, {"X Y": "1"}, {"Content-Length": "3"}])
def test_headers_that_cannot_be_sent(extra: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        make_fetcher("http://127.0.0.1/", headers=extra)


async def test_connection_refused() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        fetcher = make_fetcher(url)
        got = await fetcher.fetch(url)
        await fetcher.close()
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.detail, got.ip) == (Reason.CONNECT, "connection refused", None)


async def test_connection_unreachable() -> None:
    url = "http://[2001:4860::1]:81/" if not has_ipv6_route() else "http://255.255.255.255:81/"
    fetcher = make_fetcher(url)
    got = await fetcher.fetch(url)
    await fetcher.close()
    assert isinstance(got, FetchFailed)
    assert got.reason is Reason.CONNECT


def has_ipv6_route() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:4860::1", 81))
        except OSError:
            return False
    return True


WELL_FORMED = [
    answer(b"hello world" * 20, "200 OK", "Content-Encoding: gzip", "Set-Cookie: a=b; Path=/", "Connection: keep-alive"),
    CHUNKED + b"5;ext=1\r\nabcde\r\na\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 301 Moved\r\nLocation: /x\r\nContent-Length: 3\r\n\r\nabc",
]


@pytest.mark.parametrize("seed", range(4))
async def test_any_bytes_are_a_value_and_leave_no_traceback(seed: int) -> None:
    """Well-formed answers with bytes changed, dropped, doubled and cut, over kept connections as they come."""
    chance = random.Random(seed)
    with serving({"/": [[mangled(chance, WELL_FORMED, joined=False), "close"] for _ in range(100)]}) as server:
        fetcher = make_fetcher(server.url(), timeout=1.0)
        results = [await fetcher.fetch(server.url()) for _ in range(100)]
        await fetcher.close()
    assert all(isinstance(got, Fetched | FetchFailed) for got in results)
    reasons = {got.reason for got in results if isinstance(got, FetchFailed)}
    assert {Reason.BAD_HTTP, Reason.TRUNCATED} <= reasons
    assert reasons <= {Reason.BAD_HTTP, Reason.TRUNCATED, Reason.TOO_LARGE, Reason.TIMEOUT}
