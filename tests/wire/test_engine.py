"""The engine and all its parts on real sockets: how crawls end, budgets, robots.txt, politeness, depth."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from small_web import Page, SmallWeb, first, html, moved, pairs, small_web, status, text
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from crawler.build import build_crawl
from crawler.config import Settings, load
from crawler.engine import Engine
from crawler.job import make_job
from crawler.model import Outcome, Record, Result
from crawler.store.home import Home, open_home

LIMIT = 15.0  # seconds, for any crawl here


class Crawl:
    """One run in a home."""

    def __init__(self, folder: Path, seeds: list[str], **flags: Any) -> None:
        job = make_job(seeds, quick(**flags))
        self.home: Home = open_home(folder)
        self.home.adopt(job)
        self.home.open_files([], overwrite=False)
        self.engine: Engine = build_crawl(reactor, job, self.home)

    async def run(self) -> Result:
        done = self.engine.run()
        return await done.addTimeout(LIMIT, reactor, lambda *_: pytest.fail(f"the crawl does not end: {self.engine.snapshot()}"))


def quick(**flags: Any) -> Settings:
    """Return settings for tests that do not wait: no delay, one worker, commits at once; `section__key` overrides one."""
    values = {
        "parse.workers": 1,
        "politeness.delay": 0,
        "politeness.per_host": 4,
        "store.commit_interval": 0.01,
        "fetch.retry_delay": 0.05,
        "service.stop_timeout": 5.0,
    }
    values |= {name.replace("__", "."): value for name, value in flags.items()}
    return load(flags=values).settings


async def crawl(folder: Path, seeds: list[str], **flags: Any) -> tuple[Result, list[Record]]:
    """Crawl to the end and return the result with all records of the home."""
    result = await Crawl(folder, seeds, **flags).run()
    return result, records_in(folder)


def records_in(folder: Path) -> list[Record]:
    home = open_home(folder)
    try:
        return list(home.read_records())
    finally:
        home.close()


def outcomes(records: list[Record], web: SmallWeb) -> dict[str, str]:
    """Return path: outcome, with a reason behind a colon; a URL with two records fails the test."""
    assert len({record.url for record in records}) == len(records), "a URL has two records"
    return {record.url.removeprefix(web.url("")): f"{record.outcome}{':' + record.reason if record.reason else ''}" for record in records}


def pause(seconds: float) -> Deferred[None]:
    return deferLater(reactor, seconds)


async def until(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        await pause(0.01)
    pytest.fail("it does not come true")


def tree(size: int, fanout: int = 3, **options: Any) -> dict[str, Page]:
    """Return "/0" to "/size - 1", each linking to its children and back to the first."""
    return {
        f"/{number}": html(
            "/0", *[f"/{child}" for child in range(number * fanout + 1, number * fanout + 1 + fanout) if child < size], **options
        )
        for number in range(size)
    }


# -- ends ------------------------------------------------------------------------------------------------------------


async def test_a_small_site_is_crawled_to_its_end(tmp_path: Path) -> None:
    pages = {"/": html("/a", "/gone", "/old", "/a#x"), "/a": html("/", "/b"), "/b": html(), "/old": moved("/new"), "/new": html("/b")}
    async with small_web(pages) as web:
        result, records = await crawl(tmp_path / "home", [web.url()])
    assert outcomes(records, web) == {
        "/": "fetched",
        "/a": "fetched",
        "/gone": "failed:http_error",
        "/old": "redirected",
        "/new": "fetched",
        "/b": "fetched",
    }
    assert (result.state, result.why, result.fetched, result.failed) == ("finished", "done", 4, 1)
    assert (result.snapshot.queued, result.snapshot.in_flight, result.snapshot.storing, result.snapshot.hosts) == (0, 0, 0, 0)
    assert Counter(web.paths()) == Counter(["/robots.txt", "/", "/a", "/gone", "/old", "/new", "/b"])


async def test_a_job_whose_seeds_are_all_refused_ends(tmp_path: Path) -> None:
    result, records = await crawl(tmp_path / "home", ["http://127.0.0.1:9/x"], scope__exclude=["x"])
    assert (result.state, result.why, records) == ("finished", "done", [])


async def test_max_pages_is_exact_and_can_be_raised(tmp_path: Path) -> None:
    pages = tree(40) | {"/2": status(404), "/5": moved("/0")}
    async with small_web(pages) as web:
        for limit in (1, 6, 6, 13):
            result, records = await crawl(tmp_path / "home", [web.url("/0")], scope__max_pages=limit)
            assert sum(record.outcome is Outcome.FETCHED for record in records) == limit
            assert (result.state, result.why) == ("finished", "max_pages")
        result, records = await crawl(tmp_path / "home", [web.url("/0")])
        assert (result.state, result.why) == ("finished", "done")
        found = outcomes(records, web)
    assert set(found) == reached(pages)
    assert Counter(web.paths())["/0"] == 1


def reached(pages: dict[str, Page]) -> set[str]:
    """Return the paths that a crawl of `pages` from /0 comes to."""
    found, line = {"/0"}, ["/0"]
    while line:
        reply = pages[line.pop()](1)
        leads = (
            [reply.headers["location"]]
            if "location" in reply.headers
            else [part.split(b'"')[0].decode() for part in reply.body.split(b'href="')[1:]]
        )
        new = [path for path in leads if path not in found]
        found.update(new)
        line += new
    return found


async def test_max_pages_ends_although_a_robots_txt_is_still_waited_for(tmp_path: Path) -> None:
    pages = {"/": html(), "127.0.0.2/robots.txt": status(503)}
    async with small_web(pages, hosts=2) as web:
        seeds = [web.url(), web.url(host=2)]
        result, records = await crawl(tmp_path / "home", seeds, scope__max_pages=1, fetch__retry_delay=3.0)
        assert (result.state, result.why, len(records)) == ("finished", "max_pages", 1)


async def test_max_time_stops_and_the_next_run_goes_on(tmp_path: Path) -> None:
    async with small_web(tree(30, delay=0.1)) as web:
        started = reactor.seconds()
        result, records = await crawl(tmp_path / "home", [web.url("/0")], scope__max_time=0.6, politeness__per_host=1)
        assert reactor.seconds() - started < 3
        assert (result.state, result.why) == ("stopped", "max_time")
        assert 1 <= len(records) < 10
        result, records = await crawl(tmp_path / "home", [web.url("/0")])
        assert len(outcomes(records, web)) == 30
        assert result.state == "finished"
        assert max(Counter(web.paths()).values()) == 1, "asked twice although what was in flight could end"


async def test_draining_lets_what_is_in_flight_end(tmp_path: Path) -> None:
    pages = {"/": html("/slow", "/a", "/b"), "/slow": html("/c", delay=0.5), "/a": html(delay=0.2), "/b": html(), "/c": html()}
    async with small_web(pages) as web:
        run = Crawl(tmp_path / "home", [web.url()], politeness__per_host=2)
        done = run.run()
        running = Deferred.fromCoroutine(done)
        await until(lambda: "/slow" in web.paths())
        run.engine.drain(5.0)
        result = await running
        assert (result.state, result.why) == ("stopped", "signal")
        found = outcomes(records_in(tmp_path / "home"), web)
        assert found["/slow"] == "fetched"
        assert "/c" not in found
        _, records = await crawl(tmp_path / "home", [web.url()])
        assert set(outcomes(records, web)) == {"/", "/slow", "/a", "/b", "/c"}
    assert max(Counter(web.paths()).values()) == 1


async def test_draining_calls_off_what_does_not_end_in_time(tmp_path: Path) -> None:
    pages = {"/": html("/hang"), "/hang": first(html(delay=None), html())}
    async with small_web(pages) as web:
        run = Crawl(tmp_path / "home", [web.url()])
        running = Deferred.fromCoroutine(run.run())
        await until(lambda: "/hang" in web.paths())
        asked = reactor.seconds()
        run.engine.drain(1.0)
        result = await running
        assert 0.5 < reactor.seconds() - asked < 2.5
        assert (result.state, result.why, result.snapshot.queued) == ("stopped", "signal", 1)
        _, records = await crawl(tmp_path / "home", [web.url()])
        assert outcomes(records, web) == {"/": "fetched", "/hang": "fetched"}
        assert {record.url: record.attempts for record in records}[web.url("/hang")] == 1


async def test_aborting_ends_at_once_and_loses_nothing(tmp_path: Path) -> None:
    pages = {"/": html(*[f"/hang{number}" for number in range(4)], "/a"), "/a": html()}
    pages |= {f"/hang{number}": first(html(delay=None), html()) for number in range(4)}
    async with small_web(pages) as web:
        run = Crawl(tmp_path / "home", [web.url()])
        running = Deferred.fromCoroutine(run.run())
        await until(lambda: sum("hang" in path for path in web.paths()) == 4)
        asked = reactor.seconds()
        run.engine.drain(60.0)
        run.engine.abort()
        result = await running
        assert reactor.seconds() - asked < 2
        assert (result.state, result.why) == ("stopped", "signal")
        _, records = await crawl(tmp_path / "home", [web.url()])
        assert outcomes(records, web) == dict.fromkeys(["/", "/a", *[f"/hang{number}" for number in range(4)]], "fetched")


async def test_draining_while_a_robots_txt_is_waited_for(tmp_path: Path) -> None:
    async with small_web({"/": html(), "/robots.txt": first(status(503), text(""))}) as web:
        run = Crawl(tmp_path / "home", [web.url()], fetch__retry_delay=30.0)
        running = Deferred.fromCoroutine(run.run())
        await until(lambda: "/robots.txt" in web.paths())
        await pause(0.2)
        asked = reactor.seconds()
        run.engine.drain(5.0)
        assert (await running).state == "stopped"
        assert reactor.seconds() - asked < 2


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


# -- depth and budget ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
async def test_the_depth_limit_gives_the_set_of_a_breadth_first_crawl(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    size, limit = 60, 3
    links = {number: [chance.randrange(size) for _ in range(chance.randint(0, 3))] for number in range(size)}
    redirects = {number: chance.randrange(size) for number in range(1, size) if chance.random() < 0.2}
    pages: dict[str, Page] = {
        f"/{number}": html(*[f"/{target}" for target in links[number]], delay=chance.choice([0, 0, 0.01, 0.15])) for number in range(size)
    }
    pages |= {f"/{number}": moved(f"/{target}") for number, target in redirects.items() if target != number}
    near = {0: 0}
    line = [0]
    for here in line:  # Bellman-Ford in small: a page may come again when it gets nearer
        direct = redirects.get(here) not in (None, here)
        for target in [redirects[here]] if direct else links[here]:
            far = near[here] + (0 if direct else 1)
            if far <= limit and far < near.get(target, limit + 1):
                near[target] = far
                line.append(target)
    async with small_web(pages) as web:
        _, records = await crawl(tmp_path / "home", [web.url("/0")], scope__depth=limit)
        assert {record.url for record in records} == {web.url(f"/{number}") for number in near}
        outcomes(records, web)


async def test_each_host_has_its_budget(tmp_path: Path) -> None:
    async with small_web(tree(20), hosts=2) as web:
        _, records = await crawl(tmp_path / "home", [web.url("/0"), web.url("/0", 2)], scope__max_pages_per_host=5)
        assert Counter(record.url.split(":")[1] for record in records) == Counter({"//127.0.0.1": 5, "//127.0.0.2": 5})


async def test_many_hosts_of_which_memory_holds_a_part_are_all_crawled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.frontier.window._BUDGET", 4)
    monkeypatch.setattr("crawler.frontier.window._SMALLEST", 1)
    monkeypatch.setattr("crawler.frontier.window._LARGEST", 2)
    pages = tree(60)
    async with small_web(pages | {"/3": first(status(503), pages["/3"])}, hosts=2) as web:
        seeds = [web.url("/0"), web.url("/0", 2)]
        result, _ = await crawl(tmp_path / "home", seeds, scope__max_pages=50)
        assert result.fetched == 50
        result, records = await crawl(tmp_path / "home", seeds)
        assert len(records) == len({record.url for record in records}) == 120
        assert result.snapshot.queued == 0


async def test_back_pressure_from_a_slow_disk_and_few_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.engine._STORE_AHEAD", 1)
    monkeypatch.setattr("crawler.parse.pool.PAGES_AHEAD", 1)
    async with small_web(tree(60)) as web:
        result, _ = await crawl(tmp_path / "home", [web.url("/0")], store__commit_pages=1, fetch__concurrency=3, store__commit_interval=0.2)
        assert result.fetched == 60


async def test_a_robots_txt_that_expires_before_the_next_turn_still_lets_a_page_through(tmp_path: Path) -> None:
    pages = {"/": html("/a"), "/a": html("/no"), "/no": html(), "/robots.txt": text("User-agent: *\nDisallow: /no")}
    async with small_web(pages) as web:
        _, records = await crawl(tmp_path / "home", [web.url()], politeness__robots_ttl=0.02, politeness__delay=0.1)
        assert outcomes(records, web) == {"/": "fetched", "/a": "fetched", "/no": "denied:robots"}
        assert web.paths() == ["/robots.txt", "/", "/robots.txt", "/a", "/robots.txt"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("depth", [None, 3])
async def test_links_seen_before_a_seed_redirects_to_their_site_are_crawled_too(late: bool, depth: int | None, tmp_path: Path) -> None:
    soon, later = (status(302, location="/c/", delay=0.6 if late else 0.0), html("/c/x", "/c/y", delay=0.0 if late else 0.6))
    pages = {"/a/": later, "/b/": soon, "/c/": html("/c/x", "/c/z"), "/c/x": html(), "/c/y": html(), "/c/z": html()}
    async with small_web(pages) as web:
        seeds = [web.url("/a/"), web.url("/b/")]
        result, records = await crawl(tmp_path / "home", seeds, scope__scope="prefix", scope__depth=depth)
    assert outcomes(records, web) == {path: "redirected" if path == "/b/" else "fetched" for path in pages}
    assert not any(result.snapshot.refused.values())
