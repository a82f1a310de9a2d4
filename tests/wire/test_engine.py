"""The engine and all its parts on real sockets: how crawls end, budgets, robots.txt, politeness, depth."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from small_crawl import Crawl, crawl, outcomes, pause, records_in, tree, until
from small_web import Page, first, html, moved, small_web, status, text
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from crawler.model import Outcome

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
