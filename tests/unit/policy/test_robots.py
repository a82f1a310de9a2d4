from __future__ import annotations

import msgspec
import pytest

from crawler.config import FetchSettings
from crawler.model import Fetched, FetchFailed, Reason
from crawler.policy.robots import (
    MAX_HOPS,
    RETRY_UNREACHABLE,
    FollowRobots,
    RetryRobots,
    RobotsCache,
    RobotsEntry,
    Verdict,
    robots_url,
)

ORIGIN = "http://h.test"
NOW = 1_000_000.0
DAY = 86400.0


def cache(**options: object) -> RobotsCache:
    settings = {"ttl": DAY, "obey": True, "max_delay": 60.0, "fetch": FetchSettings(retries=2, retry_delay=1.0)}
    return RobotsCache("Crawl", **(settings | options))


def answer(status: int, *headers: tuple[str, str], url: str = robots_url(ORIGIN)) -> Fetched:
    return Fetched(url, status, list(headers), b"", None, 0.0, 0.0)


def failure(reason: Reason, url: str = robots_url(ORIGIN)) -> FetchFailed:
    return FetchFailed(url, reason, "it broke", None, 0.0, 0.0)


def learn(robots: RobotsCache, body: str, origin: str = ORIGIN, now: float = NOW) -> RobotsEntry:
    entry = robots.learn(origin, answer(200), body.encode(), now)
    assert isinstance(entry, RobotsEntry)
    return entry


def test_rules() -> None:
    robots = cache()
    assert not robots.known(ORIGIN, NOW)
    entry = learn(robots, "User-agent: *\nDisallow: /x\nCrawl-delay: 3\nSitemap: /s.xml")
    assert (entry.verdict, entry.fetched_at, entry.expires_at, entry.reason) == (Verdict.RULES, NOW, NOW + DAY, None)
    assert robots.known(ORIGIN, NOW)
    assert robots.refusal(f"{ORIGIN}/x/y") == (Reason.ROBOTS, "disallowed by robots.txt")
    assert robots.refusal(f"{ORIGIN}/a") is None
    assert robots.delay(ORIGIN) == 3.0
    assert robots.sitemaps(ORIGIN) == ["http://h.test/s.xml"]


def test_origins_are_apart() -> None:
    robots = cache()
    learn(robots, "User-agent: *\nDisallow: /")
    for other in ("https://h.test", "http://h.test:81", "http://www.h.test"):
        assert not robots.known(other, NOW)
        with pytest.raises(KeyError):
            robots.refusal(f"{other}/a")
        assert robots.delay(other) is None
        assert robots.sitemaps(other) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 499])
def test_4xx_allows_all(status: int) -> None:
    robots = cache()
    entry = robots.learn(ORIGIN, answer(status), b"User-agent: *\nDisallow: /", NOW)
    assert isinstance(entry, RobotsEntry)
    assert (entry.verdict, entry.expires_at) == (Verdict.ALLOW_ALL, NOW + DAY)
    assert robots.refusal(f"{ORIGIN}/x") is None


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_unreachable_is_retried_then_denies_all_for_a_while(status: int) -> None:
    robots = cache()
    assert robots.learn(ORIGIN, answer(status), b"", NOW, attempts=1) == RetryRobots(1.0, status == 429)
    assert robots.learn(ORIGIN, answer(status), b"", NOW, attempts=2) == RetryRobots(2.0, status == 429)
    assert not robots.known(ORIGIN, NOW)
    entry = robots.learn(ORIGIN, answer(status), b"", NOW, attempts=3)
    assert isinstance(entry, RobotsEntry)
    assert (entry.verdict, entry.attempts, entry.expires_at) == (Verdict.DISALLOW_ALL, 3, NOW + RETRY_UNREACHABLE)
    assert robots.refusal(f"{ORIGIN}/x") == (Reason.ROBOTS_UNREACHABLE, f"robots.txt: status {status}")
    assert not robots.known(ORIGIN, NOW + RETRY_UNREACHABLE)


@pytest.mark.parametrize("status", [100, 304, 305, 501, 505, 520, 999])
def test_other_statuses_deny_all_at_once(status: int) -> None:
    entry = cache().learn(ORIGIN, answer(status), b"", NOW)
    assert isinstance(entry, RobotsEntry)
    assert (entry.verdict, entry.reason) == (Verdict.DISALLOW_ALL, Reason.ROBOTS_UNREACHABLE)


def test_retry_after_is_respected() -> None:
    again = cache().learn(ORIGIN, answer(503, ("retry-after", "120")), b"", NOW, attempts=1)
    assert again == RetryRobots(120.0, whole_host=True)


@pytest.mark.parametrize("reason", [Reason.DNS, Reason.CONNECT, Reason.TIMEOUT])
def test_connection_failures_are_retried_then_shared(reason: Reason) -> None:
    robots = cache()
    assert robots.learn(ORIGIN, failure(reason), b"", NOW, attempts=2) == RetryRobots(2.0)
    entry = robots.learn(ORIGIN, failure(reason), b"", NOW, attempts=3)
    assert isinstance(entry, RobotsEntry)
    assert entry.verdict is Verdict.FAILED
    assert robots.refusal(f"{ORIGIN}/x") == (reason, "robots.txt: it broke")
    assert robots.delay(ORIGIN) is None


@pytest.mark.parametrize("reason", [Reason.ADDRESS, Reason.TLS_EXPIRED, Reason.TLS_NAME, Reason.TLS_UNTRUSTED])
def test_what_cannot_get_better_is_not_retried(reason: Reason) -> None:
    robots = cache()
    assert isinstance(robots.learn(ORIGIN, failure(reason), b"", NOW), RobotsEntry)
    assert robots.refusal(f"{ORIGIN}/x") == (reason, "robots.txt: it broke")


@pytest.mark.parametrize("reason", [Reason.TOO_LARGE, Reason.BAD_HTTP, Reason.BAD_ENCODING])
def test_answers_that_cannot_be_read_deny_all(reason: Reason) -> None:
    robots = cache()
    robots.learn(ORIGIN, failure(reason), b"", NOW)
    assert robots.refusal(f"{ORIGIN}/x") == (Reason.ROBOTS_UNREACHABLE, f"robots.txt: {reason}: it broke")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_for_the_first_origin(status: int) -> None:
    robots = cache()
    follow = robots.learn(ORIGIN, answer(status, ("location", "//www.h.test/robots.txt")), b"", NOW)
    assert follow == FollowRobots("http://www.h.test/robots.txt", 1)
    robots.learn(ORIGIN, answer(200, url=follow.url), b"User-agent: *\nDisallow: /x", NOW, hops=follow.hops)
    assert robots.refusal(f"{ORIGIN}/x") == (Reason.ROBOTS, "disallowed by robots.txt")
    assert not robots.known("http://www.h.test", NOW)


def test_redirects_end() -> None:
    robots = cache()
    hops, url, steps = 0, robots_url(ORIGIN), 0
    while isinstance(came := robots.learn(ORIGIN, answer(301, ("location", "/robots.txt"), url=url), b"", NOW, hops=hops), FollowRobots):
        hops, url, steps = came.hops, came.url, steps + 1
    assert steps == MAX_HOPS
    assert isinstance(came, RobotsEntry)
    assert came.verdict is Verdict.ALLOW_ALL


@pytest.mark.parametrize("headers", [[], [("location", "")], [("location", "file:///etc/passwd")]])
def test_redirects_to_nowhere_mean_that_there_is_none(headers: list[tuple[str, str]]) -> None:
    entry = cache().learn(ORIGIN, answer(302, *headers), b"", NOW)
    assert isinstance(entry, RobotsEntry)
    assert entry.verdict is Verdict.ALLOW_ALL


@pytest.mark.parametrize("reason", [Reason.ADDRESS, Reason.DNS, Reason.TLS_HANDSHAKE])
def test_a_dead_end_on_another_origin_says_nothing_about_the_pages(reason: Reason) -> None:
    robots = cache()
    robots.learn(ORIGIN, failure(reason, "http://127.0.0.1/robots.txt"), b"", NOW, hops=1, attempts=3)
    assert robots.refusal(f"{ORIGIN}/x") == (Reason.ROBOTS_UNREACHABLE, f"robots.txt: {reason}: it broke")


@pytest.mark.parametrize(
    ("now", "known"), [(NOW, True), (NOW + DAY - 1, True), (NOW + DAY, False), (NOW - 60, True), (NOW - 30 * DAY, False)]
)
def test_expiry_also_when_the_clock_jumps(now: float, known: bool) -> None:
    robots = cache()
    learn(robots, "User-agent: *\nDisallow: /x")
    assert robots.known(ORIGIN, now) is known
    assert robots.refusal(f"{ORIGIN}/x") is not None  # what was leased before is still judged


def test_new_rules_replace_old_ones() -> None:
    robots = cache()
    learn(robots, "User-agent: *\nDisallow: /x")
    learn(robots, "User-agent: *\nDisallow: /y", now=NOW + DAY)
    assert robots.refusal(f"{ORIGIN}/x") is None
    assert robots.refusal(f"{ORIGIN}/y") is not None


@pytest.mark.parametrize("broken", [answer(503), failure(Reason.CONNECT)])
def test_old_rules_stay_while_the_new_ones_cannot_be_had(broken: Fetched | FetchFailed) -> None:
    robots = cache()
    first = learn(robots, "User-agent: *\nDisallow: /x")
    later = NOW + DAY
    entry = robots.learn(ORIGIN, broken, b"", later, attempts=3)
    assert isinstance(entry, RobotsEntry)
    assert (entry.verdict, entry.text, entry.expires_at) == (Verdict.RULES, first.text, later + RETRY_UNREACHABLE)
    assert robots.refusal(f"{ORIGIN}/y") is None
    assert robots.refusal(f"{ORIGIN}/x") is not None
    assert robots.known(ORIGIN, later)
    assert not robots.known(ORIGIN, later + RETRY_UNREACHABLE)


@pytest.mark.parametrize(
    ("written", "delay"), [("5", 5.0), ("0.001", 0.001), ("1000000000", 60.0), ("61", 60.0), ("nan", None), ("-1", None), ("x", None)]
)
def test_delay_is_clamped(written: str, delay: float | None) -> None:
    robots = cache()
    learn(robots, f"User-agent: *\nCrawl-delay: {written}")
    assert robots.delay(ORIGIN) == delay


def test_not_obeying() -> None:
    robots = cache(obey=False)
    assert robots.known(ORIGIN, NOW)
    assert robots.refusal(f"{ORIGIN}/x") is None
    assert robots.delay(ORIGIN) is None
    assert robots.sitemaps(ORIGIN) == []


@pytest.mark.parametrize("url", ["/x", "/y", "/sub/x"])
def test_restored_entries_judge_as_before(url: str) -> None:
    before = cache()
    entries = [
        learn(before, "User-agent: crawl\nDisallow: /x\nCrawl-delay: 4\nSitemap: /s.xml\n\nUser-agent: *\nDisallow: /"),
        before.learn("http://gone.test", answer(404), b"", NOW),
        before.learn("http://down.test", failure(Reason.DNS, "http://down.test/robots.txt"), b"", NOW, attempts=3),
    ]
    after = cache()
    for entry in entries:
        after.restore(msgspec.json.decode(msgspec.json.encode(entry), type=RobotsEntry))
    for origin in (ORIGIN, "http://gone.test", "http://down.test"):
        assert after.known(origin, NOW)
        assert after.refusal(origin + url) == before.refusal(origin + url)
        assert after.delay(origin) == before.delay(origin)
        assert after.sitemaps(origin) == before.sitemaps(origin)


def test_rules_learnt_under_another_name_are_not_restored() -> None:
    entry = learn(RobotsCache("Other", ttl=DAY, obey=True, max_delay=60.0), "User-agent: Other\nDisallow: /")
    robots = cache()
    robots.restore(entry)
    assert not robots.known(ORIGIN, NOW)


def test_the_least_used_origins_are_dropped() -> None:
    robots = cache(capacity=3)
    for name in "abc":
        learn(robots, "", f"http://{name}.test")
    robots.refusal("http://a.test/")
    learn(robots, "", "http://d.test")
    assert [robots.known(f"http://{name}.test", NOW) for name in "abcd"] == [True, False, True, True]


def test_memory_is_bounded_by_size_too() -> None:
    robots = cache()
    body = "User-agent: *\n" + "\n".join("Disallow: /" + str(n) + "x" * 50_000 for n in range(9))
    for number in range(100):
        learn(robots, body, f"http://h{number}.test")
    assert 60 < len(robots) < 80  # of 0.45 MB each
    assert robots.known("http://h99.test", NOW)
    for number in range(100):
        learn(robots, "", f"http://h{number}.test")
    assert len(robots) == 100
