"""What a fetch keeps for an archive: heads as they were sent, and what came of an answer that was cut short."""

from __future__ import annotations

import gzip
import io

import fastwarc
import pytest
from scripted_server import Script, ScriptedServer, answer, serving
from sites.exchanges import read_warc
from twisted.internet import reactor

from crawler.archive.records import archived_exchange, truncation
from crawler.config import FetchSettings, SiteSettings
from crawler.fetch.client import Fetcher
from crawler.fetch.dns import Resolver
from crawler.fetch.guard import Guard
from crawler.fetch.sites import Session
from crawler.model import Fetched, FetchFailed, Reason

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


async def fetch(server: ScriptedServer, path: str = "/", *, keep_heads: bool = True, **settings: object) -> Fetched | FetchFailed:
    known = FetchSettings(**{"timeout": 3.0, "connect_timeout": 2.0} | settings)
    session = Session(known, now=lambda: 0.0, read=lambda reference: f"very-{reference}") if known.sites else None
    seed = server.url()
    fetcher = Fetcher(
        reactor, known, user_agent="Crawl/0", resolver=Resolver(reactor), guard=Guard([seed]), session=session, keep_heads=keep_heads
    )
    try:
        return await fetcher.fetch(server.url(path))
    finally:
        await fetcher.close()


EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
PLAIN = b"HTTP/1.1 200 Fine  indeed\r\nSERVER: x\r\nset-Cookie: a\r\nContent-Length: 2\r\nX:  spaced \r\nset-cookie: b\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LINE_FEEDS = b"HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: 2\n\n"
FOLDED = b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\n"

HEADS: list[tuple[str, Script, bytes, bytes]] = [
    ("names, order and phrase", [PLAIN + b"ok"], PLAIN, b"ok"),
    ("byte by byte", [bytes([b]) for b in PLAIN + b"ok"], PLAIN, b"ok"),
    ("chunked", [CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"], CHUNKED, b"abcde"),
    ("chunked, the head apart", [CHUNKED, 0.02, b"3\r\nabc\r\n0\r\n\r\n"], CHUNKED, b"abc"),
    ("after early hints", [EARLY + EARLY + PLAIN + b"ok"], PLAIN, b"ok"),
    ("bare line feeds", [LINE_FEEDS + b"ok"], LINE_FEEDS, b"ok"),
    ("folded field", [FOLDED + b"ok"], FOLDED, b"ok"),
    ("odd after early hints", [EARLY + LINE_FEEDS + b"ok"], LINE_FEEDS, b"ok"),
    ("no fields", [b"HTTP/1.1 204 No\r\n\r\n"], b"HTTP/1.1 204 No\r\n\r\n", b""),
]


@pytest.mark.parametrize(("script", "head", "body"), [case[1:] for case in HEADS], ids=[case[0] for case in HEADS])
async def test_heads_are_kept_as_they_were_sent(script: Script, head: bytes, body: bytes) -> None:
    with serving({"/": script}) as server:
        result = await fetch(server)
        assert isinstance(result, Fetched)
        assert result.exchange is not None
        assert result.exchange.response == head
        assert result.exchange.request.removesuffix(b"\r\n\r\n") == server.requests[0]
        assert result.body == body
        made = archived_exchange(url=result.url, ip=result.ip, started_at=0, exchanged=result.exchange, payload=body)
        read = read_warc(made.response + made.request)
        assert [one.payload for one in read] == [body, b""]
        assert [one.verify_payload_digest() for one in fastwarc.ArchiveIterator(io.BytesIO(made.response))] == [True]


GZIPPED = gzip.compress(b"<p>hello")

CUT: list[tuple[str, Script, dict[str, object], Reason, bytes, str]] = [
    ("announced too large", [HEAD + b"Content-Length: 999\r\n\r\n"], {"max_body": 100}, Reason.TOO_LARGE, b"", "length"),
    ("found too large", [HEAD + b"\r\n" + b"x" * 150], {"max_body": 100}, Reason.TOO_LARGE, b"x" * 100, "length"),
    ("not in time", [HEAD + b"Content-Length: 9\r\n\r\nabc", 3.0], {"timeout": 0.3}, Reason.TIMEOUT, b"abc", "time"),
    ("closed early", [HEAD + b"Content-Length: 9\r\n\r\nabc", "close"], {}, Reason.TRUNCATED, b"abc", "disconnect"),
    ("last chunk missing", [CHUNKED + b"3\r\nabc\r\n", "close"], {}, Reason.TRUNCATED, b"abc", "disconnect"),
    ("broken chunk", [CHUNKED + b"3\r\nabc\r\nzz\r\n"], {}, Reason.BAD_HTTP, b"abc", "unspecified"),
    ("not accepted", [answer(b"hello")], {"accept": ["image/*"]}, Reason.CONTENT_TYPE, b"", "unspecified"),
]


@pytest.mark.parametrize(("script", "settings", "reason", "body", "word"), [case[1:] for case in CUT], ids=[case[0] for case in CUT])
async def test_an_answer_cut_short_keeps_its_head_and_what_came(
    script: Script, settings: dict[str, object], reason: Reason, body: bytes, word: str
) -> None:
    with serving({"/": script}) as server:
        result = await fetch(server, **settings)
        assert isinstance(result, FetchFailed)
        assert (result.reason, result.body) == (reason, body)
        assert result.exchange is not None
        made = archived_exchange(
            url=result.url, ip=result.ip, started_at=0, exchanged=result.exchange, payload=body, truncated=truncation(reason)
        )
        read = read_warc(made.response)[0]
        assert (read.payload, read.fields["WARC-Truncated"]) == (body, word)
        assert read.http.get_header("Content-Length") is None
        assert read.http.get_header("Transfer-Encoding") is None


async def test_without_a_head_there_is_nothing_to_keep() -> None:
    with serving({"/": ["close"]}) as server:
        result = await fetch(server)
        assert isinstance(result, FetchFailed)
        assert (result.exchange, result.body) == (None, b"")


async def test_credentials_are_sent_and_not_kept() -> None:
    with serving({"/": [answer(GZIPPED, "200 OK", "Content-Encoding: gzip")]}) as server:
        site = SiteSettings(headers={"Cookie": "env:COOKIE", "X-Team": "crawl"}, bearer="env:TOKEN")
        result = await fetch(server, sites={server.url(): site})
        sent = server.requests[0]
        assert isinstance(result, Fetched)
        assert result.exchange is not None
        assert result.body == GZIPPED
    assert b"Authorization: Bearer very-env:TOKEN" in sent
    assert b"Cookie: very-env:COOKIE" in sent
    kept = result.exchange.request
    assert b"very" not in kept
    lines = [line for line in sent.split(b"\r\n") if not line.startswith((b"Authorization:", b"Cookie:"))]
    assert kept == b"\r\n".join([*lines, b"", b""])
    assert b"X-Team: crawl" in kept


async def test_heads_are_kept_where_they_are_asked_for_alone() -> None:
    with serving({"/": [answer(b"ok")], "/cut": [HEAD + b"Content-Length: 9\r\n\r\nabc", "close"]}) as server:
        whole = await fetch(server, keep_heads=False)
        cut = await fetch(server, "/cut", keep_heads=False)
    assert isinstance(whole, Fetched)
    assert isinstance(cut, FetchFailed)
    assert (whole.exchange, cut.exchange, cut.body) == (None, None, b"")
