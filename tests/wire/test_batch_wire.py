"""`gather_pages` over real sockets and real parse workers: order, redirects, robots, bodies, and that nothing is left behind."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scripted_server import Script, answer, serving
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

import crawler
from crawler.batch import Batch, Hop, Page, gather_pages
from crawler.config import Settings, load
from crawler.model import Outcome, Reason

NO_ROBOTS = [answer(b"", "404 Not Found")]


def settings(**flags: object) -> Settings:
    known = {"politeness.delay": 0.0, "politeness.per_host": 8, "fetch.timeout": 3.0, "fetch.retry_delay": 0.05, "parse.workers": 1}
    return load(flags=known | {key.replace("__", "."): value for key, value in flags.items()}).settings


def redirect(target: str, status: str = "302 Found") -> Script:
    return [answer(b"", status, f"Location: {target}")]


def html(title: str, *hrefs: str) -> bytes:
    return f"<!doctype html><title>{title}</title>{''.join(f'<a href={href}>x</a>' for href in hrefs)}".encode()


def asked(server: object) -> list[str]:
    return [request.split(b" ")[1].decode() for request in server.requests]


def children() -> set[int]:
    return {int(pid) for task in Path("/proc/self/task").glob("*") for pid in (task / "children").read_text().split()}


async def gather(server: object, *paths: str, **flags: object) -> list[Page]:
    return await gather_pages(
        [server.url(path) if path.startswith("/") else path for path in paths], reactor=reactor, settings=settings(**flags)
    )


async def test_pages_come_in_the_order_of_the_list_whenever_their_answers_come() -> None:
    scripts = {
        "/slow": [0.3, answer(html("slow"))],
        "/fast": [answer(html("fast"))],
        "/gone": [answer(b"", "410 Gone")],
        "/robots.txt": NO_ROBOTS,
    }
    with serving(scripts) as server:
        pages = await gather(server, "/slow", "/gone", "/fast")
    assert [page.title for page in pages] == ["slow", None, "fast"]
    assert [page.outcome for page in pages] == [Outcome.FETCHED, Outcome.FAILED, Outcome.FETCHED]
    assert [page.reason for page in pages] == [None, Reason.HTTP_ERROR, None]
    assert pages[1].status == 410


async def test_a_page_tells_everything() -> None:
    body = "<!doctype html><html lang=de><title>Grüße</title><a href=/x>x</a><a href=http://b.example/>y</a>".encode("iso-8859-1")
    packed = gzip.compress(body)
    fields = ["HTTP/1.1 200 OK", "Content-Type: Text/HTML; charset=iso-8859-1", "Content-Encoding: gzip", "X-Robots-Tag: noindex"]
    raw = "\r\n".join([*fields, f"Content-Length: {len(packed)}"]).encode() + b"\r\n\r\n" + packed
    with serving({"/": [raw], "/robots.txt": NO_ROBOTS}) as server:
        (page,) = await gather(server, "/")
    assert page.ok
    assert (page.url, page.final_url, page.status, page.ip) == (server.url(), server.url(), 200, "127.0.0.1")
    assert (page.content_type, page.charset, page.title, page.language) == ("text/html", "windows-1252", "Grüße", "de")
    assert page.body == body
    assert page.text == body.decode("iso-8859-1")
    assert (page.size, len(page.digest), page.robots, page.attempts, page.redirects) == (len(body), 64, ["noindex"], 1, [])
    assert page.links == [server.url("/x"), "http://b.example/"]
    assert page.header("Content-Encoding") == "gzip"
    assert 0 <= page.elapsed < 3
    assert abs(page.started_at - time.time()) < 60


async def test_any_bytes_come_back_as_they_are() -> None:
    body = bytes(range(256)) * 5000
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with serving({"/": [raw], "/robots.txt": NO_ROBOTS}) as server:
        (page,) = await gather(server, "/")
    assert page.body == body


async def test_a_url_that_stands_there_twice_is_fetched_once_and_answered_twice() -> None:
    with serving({"/": [answer(html("one"))], "/robots.txt": NO_ROBOTS}) as server:
        pages = await gather(server, "/", "/#part", "/", "/?utm_source=x")
        assert asked(server).count("/") == 1
    assert [page.title for page in pages] == ["one"] * 4


async def test_of_a_huge_robots_txt_the_beginning_counts() -> None:
    rules = b"User-agent: *\nDisallow: /private\n" + b"# nothing\n" * 600_000
    with serving({"/": [answer(html("one"))], "/private": [answer(html("no"))], "/robots.txt": [answer(rules)]}) as server:
        pages = await gather(server, "/", "/private")
    assert [page.reason for page in pages] == [None, Reason.ROBOTS]


async def test_what_is_no_url_is_an_answer_too() -> None:
    with serving({"/": [answer(html("one"))], "/robots.txt": NO_ROBOTS}) as server:
        pages = await gather(server, "ftp://a/", "/", "", "http://[", "http://a b/", "\udcff")
    assert [page.reason for page in pages] == [Reason.BAD_URL, None, *[Reason.BAD_URL] * 4]
    assert "ftp" in pages[0].detail
    assert all(page.outcome is Outcome.FAILED for page in pages if not page.ok)


async def test_redirects_are_followed_and_named() -> None:
    scripts = {"/a": redirect("/b", "301 Moved"), "/b": redirect("c?x"), "/c?x": [answer(html("end"))], "/robots.txt": NO_ROBOTS}
    with serving(scripts) as server:
        (page,) = await gather(server, "/a")
    assert (page.title, page.final_url, page.attempts) == ("end", server.url("/c?x"), 3)
    assert page.redirects == [Hop(server.url("/a"), 301), Hop(server.url("/b"), 302)]


@pytest.mark.parametrize(
    ("scripts", "detail", "requests"),
    [
        ({"/a": redirect("/b"), "/b": redirect("/a")}, "in a circle", 2),
        ({"/a": redirect("/b"), "/b": redirect("/c"), "/c": redirect("/d")}, "more than 2 redirects", 3),
        ({"/a": redirect("file:///etc/passwd")}, "not an http URL", 1),
        ({"/a": redirect("/a")}, "itself", 1),
    ],
)
async def test_redirects_that_lead_nowhere(scripts: dict[str, Script], detail: str, requests: int) -> None:
    with serving(scripts | {"/robots.txt": NO_ROBOTS}) as server:
        (page,) = await gather(server, "/a", fetch__max_redirects=2)
    assert (page.outcome, page.reason, page.attempts) == (Outcome.FAILED, Reason.REDIRECT, requests)
    assert detail in page.detail


async def test_a_redirect_cannot_choose_a_private_address_but_the_user_can() -> None:
    with serving({"/": [answer(html("private"))], "/robots.txt": NO_ROBOTS}) as inside:
        scripts = {"/in": redirect(inside.url()), "/robots.txt": NO_ROBOTS}
        with serving(scripts) as server:
            (page,) = await gather(server, "/in")
            assert inside.requests == []
            (asked_for,) = await gather(server, inside.url())
    assert (page.outcome, page.reason, page.final_url) == (Outcome.DENIED, Reason.ADDRESS, inside.url())
    assert asked_for.ok


async def test_robots_txt_is_fetched_once_and_obeyed_on_every_hop() -> None:
    robots = b"User-agent: *\nDisallow: /private\n"
    scripts = {f"/{number}": [answer(html(str(number)))] for number in range(20)}
    scripts |= {"/robots.txt": [answer(robots)], "/door": redirect("/private/a")}
    with serving(scripts) as server:
        pages = await gather(server, *[f"/{number}" for number in range(20)], "/private/b", "/door")
        paths = asked(server)
    assert [page.title for page in pages[:20]] == [str(number) for number in range(20)]
    assert [(page.outcome, page.reason) for page in pages[20:]] == [(Outcome.DENIED, Reason.ROBOTS)] * 2
    assert (pages[20].attempts, pages[21].attempts) == (0, 1)
    assert paths[0] == "/robots.txt"
    assert paths.count("/robots.txt") == 1
    assert not [path for path in paths if path.startswith("/private")]


async def test_robots_txt_is_not_asked_for_when_it_is_not_to_be_obeyed() -> None:
    with serving({"/private": [answer(html("seen"))]}) as server:
        (page,) = await gather(server, "/private", politeness__robots=False)
        assert asked(server) == ["/private"]
    assert page.title == "seen"


async def test_media_types_that_are_not_wanted_are_skipped_and_robots_txt_is_still_read() -> None:
    robots = answer(b"User-agent: *\nDisallow: /x\n").replace(b"text/html", b"text/plain")
    plain = answer(b"hi").replace(b"text/html", b"text/plain")
    with serving({"/": [answer(html("page"))], "/plain": [plain], "/robots.txt": [robots]}) as server:
        pages = await gather(server, "/", "/plain", "/x", fetch__accept=["text/html"])
    assert [page.outcome for page in pages] == [Outcome.FETCHED, Outcome.SKIPPED, Outcome.DENIED]
    assert [page.reason for page in pages] == [None, Reason.CONTENT_TYPE, Reason.ROBOTS]


async def test_failures_that_may_pass_are_tried_again_after_the_time_asked_for() -> None:
    busy = [answer(b"", "503 Busy", "Retry-After: 1")]
    scripts = {
        "/busy": [busy, [answer(html("at last"))]],
        "/cut": [[answer(b"whole")[:-2], "close"], [answer(html("again"))]],
        "/never": busy,
        "/robots.txt": NO_ROBOTS,
    }
    with serving(scripts) as server:
        began = time.monotonic()
        pages = await gather(server, "/busy", fetch__retries=2)
        assert time.monotonic() - began >= 1
        pages += await gather(server, "/cut", fetch__retries=2)
        pages += await gather(server, "/never", fetch__retries=0)
    assert [page.title for page in pages] == ["at last", "again", None]
    assert [page.attempts for page in pages] == [2, 2, 1]
    assert (pages[2].reason, pages[2].status) == (Reason.HTTP_ERROR, 503)


async def test_a_host_is_asked_as_politely_as_in_a_crawl() -> None:
    scripts = {f"/{number}": [answer(html(str(number)))] for number in range(4)} | {
        "/robots.txt": [answer(b"User-agent: *\nCrawl-delay: 0.2\n")]
    }
    with serving(scripts) as server:
        began = time.monotonic()
        pages = await gather(server, *[f"/{number}" for number in range(4)], politeness__delay=0.1)
        assert time.monotonic() - began >= 0.2 * 4 - 0.01  # five requests, robots.txt among them
    assert all(page.ok for page in pages)


async def test_a_page_that_kills_its_worker_costs_itself() -> None:
    scripts = {"/spin": [answer(b"<div>" * 300_000)], "/good": [answer(html("good"))], "/robots.txt": NO_ROBOTS}
    with serving(scripts) as server:
        pages = await gather(server, "/spin", "/good", parse__page_time=0.3)
    assert [page.reason for page in pages] == [Reason.PARSE, None]


async def test_an_empty_list_has_no_pages_and_starts_nothing() -> None:
    before = children()
    gathered = gather_pages([], reactor=reactor, settings=settings())
    assert children() == before
    assert await gathered == []


async def test_nothing_is_left_behind() -> None:
    before, calls = children(), set(reactor.getDelayedCalls())
    with serving({"/": [answer(html("one"))], "/hang": [], "/robots.txt": NO_ROBOTS}) as server:
        gathered = gather_pages([server.url()], reactor=reactor, settings=settings())
        assert len(children()) > len(before)
        await gathered
        assert set(reactor.getDelayedCalls()) == calls
        await deferLater(reactor, 0.05)
        assert not any(conversation.open for conversation in server.conversations)
    assert children() == before


async def test_it_can_be_cancelled_and_closes_everything() -> None:
    before, calls = children(), set(reactor.getDelayedCalls())
    with serving({"/hang": [], "/busy": [answer(b"", "503 Busy", "Retry-After: 60")], "/robots.txt": NO_ROBOTS}) as server:
        gathered = gather_pages(
            [server.url("/hang"), server.url("/busy"), server.url("/x"), server.url("/hang")],
            reactor=reactor,
            settings=settings(politeness__per_host=1),
        )
        while "/hang" not in asked(server):
            await deferLater(reactor, 0.01)
        gathered.cancel()
        with pytest.raises(CancelledError):
            await gathered
        await deferLater(reactor, 0.05)
        assert not any(conversation.open for conversation in server.conversations)
        assert set(reactor.getDelayedCalls()) <= calls
    assert children() == before


async def test_bodies_and_links_are_left_out_when_nobody_wants_them() -> None:
    with serving({"/": [answer(html("one", "/x"))], "/robots.txt": NO_ROBOTS}) as server:
        (page,) = await gather_pages([server.url()], reactor=reactor, settings=settings(), bodies=False, links=False)
    assert (page.body, page.links, page.title, page.size) == (b"", [], "one", len(html("one", "/x")))


async def test_only_so_many_pages_are_remembered() -> None:
    with serving({path: [answer(html(path))] for path in ("/1", "/2", "/3")} | {"/robots.txt": NO_ROBOTS}) as server:
        batch = Batch(reactor, settings(), remember=2)
        try:
            for path in ("/1", "/2", "/3", "/3", "/2", "/1"):
                assert (await batch.page(server.url(path))).title == path
        finally:
            await batch.close()
        assert [path for path in asked(server) if path != "/robots.txt"] == ["/1", "/2", "/3", "/1"]


ASYNCIO_PROGRAM = """
import asyncio, sys
from twisted.internet import asyncioreactor

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
asyncioreactor.install(loop)  # before anything imports the reactor

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from crawler.batch import gather_pages

async def main(reactor):
    pages = await gather_pages(sys.argv[1:], reactor=reactor).asFuture(asyncio.get_running_loop())
    print([(page.title, str(page.reason)) for page in pages])

react(lambda reactor: Deferred.fromFuture(asyncio.ensure_future(main(reactor), loop=loop)))
"""


async def test_it_can_be_awaited_from_asyncio() -> None:
    root = str(Path(crawler.__file__).parent.parent)
    with serving({"/": [answer(html("one"))], "/no": [answer(b"", "404 Not Found")], "/robots.txt": NO_ROBOTS}) as server:
        command = [sys.executable, "-W", "error", "-c", ASYNCIO_PROGRAM, server.url(), server.url("/no")]
        process = subprocess.Popen(  # noqa: ASYNC220 - it starts at once, and is polled
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": root}
        )
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            await deferLater(reactor, 0.02)
        process.kill()
        stdout, stderr = process.communicate()
    assert stdout == "[('one', 'None'), (None, 'http_error')]\n", stderr
    assert process.returncode == 0, stderr
