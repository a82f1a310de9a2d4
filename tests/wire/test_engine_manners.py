"""The engine's manners: robots.txt and politeness, on a small web."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from small_crawl import Crawl, crawl, outcomes, pause, tree, until
from small_web import first, html, moved, pairs, small_web, status, text
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from crawler.model import Outcome

# -- robots.txt ------------------------------------------------------------------------------------------------------


async def test_robots_txt_is_asked_for_once_however_many_wait(tmp_path: Path) -> None:
    pages = {f"/{number}": html() for number in range(20)} | {"/robots.txt": text("User-agent: *\nDisallow: /7", delay=0.3)}
    async with small_web(pages, hosts=2) as web:
        seeds = [web.url(f"/{number}", host) for number in range(20) for host in (1, 2)]
        _, records = await crawl(tmp_path / "home", seeds)
        for host in (1, 2):
            assert web.paths(host)[0] == "/robots.txt"
            assert Counter(web.paths(host)) == Counter(["/robots.txt", *[f"/{number}" for number in range(20) if number != 7]])
            assert web.hits[[hit.host for hit in web.hits].index(f"127.0.0.{host}") + 0].in_flight == 1
    denied = [record for record in records if record.outcome is Outcome.DENIED]
    assert sorted((record.url, record.reason, record.attempts) for record in denied) == [
        (web.url("/7", host), "robots", 0) for host in (1, 2)
    ]


async def test_robots_txt_may_lie_on_another_host(tmp_path: Path) -> None:
    pages = {"/": html("/secret"), "/secret": html(), "127.0.0.2/robots.txt": text("User-agent: *\nDisallow: /secret\n")}
    async with small_web(pages, hosts=2) as web:
        pages["127.0.0.1/robots.txt"] = moved(web.url("/robots.txt", 2))
        _, records = await crawl(tmp_path / "home", [web.url(), web.url("/x", 2)])
        assert outcomes(records, web)["/secret"] == "denied:robots"
        assert web.paths(1) == ["/robots.txt", "/"]
        assert Counter(web.paths(2)) == Counter(["/robots.txt", "/robots.txt", "/x"])  # once for itself, once for the other


async def test_two_hosts_whose_robots_txt_lie_with_each_other(tmp_path: Path) -> None:
    async with small_web({"/": html()}, hosts=2) as web:
        web.pages["127.0.0.1/robots.txt"] = moved(web.url("/r", 2))
        web.pages["127.0.0.2/robots.txt"] = moved(web.url("/r", 1))
        web.pages["/r"] = text("User-agent: *\nDisallow: /x")
        result, records = await crawl(tmp_path / "home", [web.url(), web.url("/", 2), web.url("/x", 2)], politeness__per_host=1)
        assert result.fetched == 2
        assert Counter(record.outcome for record in records) == Counter([Outcome.FETCHED, Outcome.FETCHED, Outcome.DENIED])


async def test_a_robots_txt_that_fails_first_is_asked_again(tmp_path: Path) -> None:
    pages = {"/": html("/no"), "/no": html(), "/robots.txt": first(status(503), status(500), text("User-agent: *\nDisallow: /no"))}
    async with small_web(pages) as web:
        _, records = await crawl(tmp_path / "home", [web.url()])
        assert outcomes(records, web) == {"/": "fetched", "/no": "denied:robots"}
        assert web.paths() == ["/robots.txt"] * 3 + ["/"]


async def test_a_robots_txt_that_fails_on_another_host_is_asked_again_later(tmp_path: Path) -> None:
    robots = first(status(503), status(503), text("User-agent: *\nDisallow: /no"))
    async with small_web({"/": html("/no"), "/no": html(), "127.0.0.2/r": robots}, hosts=2) as web:
        web.pages["127.0.0.1/robots.txt"] = moved(web.url("/r", 2))
        _, records = await crawl(tmp_path / "home", [web.url(), web.url("/x", 2)], fetch__retry_delay=0.3)
        assert {outcomes(records, web)[path] for path in ("/", "/no")} == {"fetched", "denied:robots"}
        begun = web.times("/robots.txt")
        assert len(begun) == 3
        assert begun[1] - begun[0] >= 0.29
        assert begun[2] - begun[1] >= 0.59


async def test_a_robots_txt_that_never_comes_denies_all_and_ends(tmp_path: Path) -> None:
    async with small_web({"/": html(), "/robots.txt": status(500)}) as web:
        result, records = await crawl(tmp_path / "home", [web.url(), web.url("/a")])
        assert outcomes(records, web) == {"/": "denied:robots_unreachable", "/a": "denied:robots_unreachable"}
        assert web.paths() == ["/robots.txt"] * 3
        assert result.state == "finished"


async def test_a_known_robots_txt_is_not_asked_for_by_the_next_run(tmp_path: Path) -> None:
    async with small_web(tree(9) | {"/robots.txt": text("User-agent: *\nDisallow: /8")}) as web:
        await crawl(tmp_path / "home", [web.url("/0")], scope__max_pages=2)
        _, records = await crawl(tmp_path / "home", [web.url("/0")])
        assert web.paths().count("/robots.txt") == 1
        assert outcomes(records, web)["/8"] == "denied:robots"


# -- politeness ------------------------------------------------------------------------------------------------------


async def test_crawl_delay_is_honoured_also_by_the_next_run(tmp_path: Path) -> None:
    async with small_web(tree(6) | {"/robots.txt": text("User-agent: *\nCrawl-delay: 0.4")}) as web:
        await crawl(tmp_path / "home", [web.url("/0")], scope__max_pages=3)
        await crawl(tmp_path / "home", [web.url("/0")])
        times = [hit.at for hit in web.hits]
        assert len(times) == 7
        assert min(pairs(times)) > 0.39


async def test_no_more_in_flight_than_allowed_and_never_closer_than_the_delay(tmp_path: Path) -> None:
    async with small_web(tree(12, delay=0.3), hosts=3) as web:
        seeds = [web.url("/0", host) for host in (1, 2, 3)]
        started = reactor.seconds()
        result, _ = await crawl(tmp_path / "home", seeds, politeness__per_host=2, politeness__delay=0.1)
        elapsed = reactor.seconds() - started
        assert result.fetched == 36
        assert max(hit.in_flight for hit in web.hits) == 2
        for host in web.addresses:
            # Both share a reactor, which may see one of two arrivals late; the kernel's stamps are in test_two_hundred_hosts.py.
            assert min(pairs([hit.at for hit in web.hits if hit.host == host])) > 0.06
        assert elapsed < 3 * 12 * 0.3 / 2, "the hosts were not crawled at the same time"


async def test_retry_after_stills_the_whole_host(tmp_path: Path) -> None:
    pages = {"/": html("/busy", *[f"/{number}" for number in range(6)])} | {f"/{number}": html() for number in range(6)}
    pages["/busy"] = first(status(429, retry_after="1"), html())
    async with small_web(pages) as web:
        _, records = await crawl(tmp_path / "home", [web.url()], politeness__per_host=1)
        assert {record.url: record.attempts for record in records}[web.url("/busy")] == 2
        assert set(outcomes(records, web).values()) == {"fetched"}
        asked = web.times("/busy")
        between = [hit.path for hit in web.hits if asked[0] < hit.at < asked[0] + 0.95]
        assert between == []
        assert asked[1] - asked[0] < 2.5


async def test_retry_after_holds_over_a_restart(tmp_path: Path) -> None:
    async with small_web({"/": first(status(503, retry_after="2"), html())}) as web:
        run = Crawl(tmp_path / "home", [web.url()])
        running = Deferred.fromCoroutine(run.run())
        await until(lambda: web.times("/"))
        await pause(0.2)
        run.engine.drain(1.0)
        await running
        _, records = await crawl(tmp_path / "home", [web.url()])
        assert outcomes(records, web) == {"/": "fetched"}
        (gap,) = pairs(web.times("/"))
        assert 1.8 < gap < 4


async def test_a_host_that_is_down_costs_ten_attempts(tmp_path: Path) -> None:
    async with small_web({}) as web:
        dead = f"http://127.0.0.9:{web.port}"  # nobody listens there
    seeds = [f"{dead}/{number}" for number in range(40)]
    flags = {"politeness__robots": False, "politeness__per_host": 1, "fetch__retries": 0, "fetch__retry_delay": 0.001}
    result, records = await crawl(tmp_path / "home", seeds, **flags)
    assert Counter(record.reason for record in records) == Counter({"connect": 10, "host_down": 30})
    assert [record.attempts for record in records if record.reason == "host_down"] == [0] * 30
    assert (result.state, result.failed) == ("finished", 40)


async def test_a_page_that_fails_is_tried_again_and_then_recorded(tmp_path: Path) -> None:
    async with small_web({"/": html("/a", "/b"), "/a": status(500), "/b": first(status(502), html())}) as web:
        _, records = await crawl(tmp_path / "home", [web.url()])
        assert outcomes(records, web) == {"/": "fetched", "/a": "failed:http_error", "/b": "fetched"}
        assert {record.url: record.attempts for record in records} == {web.url("/"): 1, web.url("/a"): 3, web.url("/b"): 2}
