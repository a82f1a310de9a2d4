from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import url as urls
from crawler.policy.robots_rules import MAX_ROBOTS_BYTES, MAX_RULES, MAX_SITEMAPS, Rules, product_token, read_rules, robots_text

ORIGIN = "http://h.test"


def rules(body: bytes | str, token: str = "Crawl") -> Rules:
    return read_rules(robots_text(body if isinstance(body, bytes) else body.encode()), token, ORIGIN)


def allows(body: bytes | str, path: str, token: str = "Crawl") -> bool:
    return rules(body, token).allows(ORIGIN + path)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [  # RFC 9309 section 2.2.3 and the table in Google's specification
        ("/", "/anything", True),
        ("/*", "/anything", True),
        ("/fish", "/fish", True),
        ("/fish", "/fish.html", True),
        ("/fish", "/fish/salmon.html", True),
        ("/fish", "/fishheads/yummy.html", True),
        ("/fish", "/fish.php?id=anything", True),
        ("/fish", "/Fish.asp", False),
        ("/fish", "/catfish", False),
        ("/fish", "/desert/fish", False),
        ("/fish*", "/fishheads", True),
        ("/fish*", "/Fish.asp", False),
        ("/fish/", "/fish/", True),
        ("/fish/", "/fish/?id=anything", True),
        ("/fish/", "/fish", False),
        ("/fish/", "/fish.html", False),
        ("/*.php", "/index.php", True),
        ("/*.php", "/folder/filename.php?parameters", True),
        ("/*.php", "/folder/any.php.file.html", True),
        ("/*.php", "/", False),
        ("/*.php", "/windows.PHP", False),
        ("/*.php$", "/filename.php", True),
        ("/*.php$", "/filename.php?parameters", False),
        ("/*.php$", "/filename.php/", False),
        ("/*.php$", "/filename.php5", False),
        ("/fish*.php", "/fish.php", True),
        ("/fish*.php", "/fishheads/catfish.php?parameters", True),
        ("/fish*.php", "/Fish.PHP", False),
        ("/path$", "/path", True),
        ("/path$", "/path/", False),
        ("/a$b", "/a$b", True),
        ("/$", "/", True),
        ("/$", "/a", False),
        ("fish", "/fish", False),  # a rule begins with a slash
        ("*/fish", "/a/fish", True),
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("/foo/bar/ツ", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%E3%83%84", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        ("/foo/bar/%7e", "/foo/bar/~", True),
        ("/a%2fb", "/a%2Fb", True),
        ("/a%2Fb", "/a/b", False),
        ("/a/b", "/a%2Fb", False),
        ("/x%2A", "/x%2Ay", True),
        ("/a.c", "/abc", False),
        ("/a**b", "/a-b", True),
    ],
)
def test_matching(pattern: str, path: str, matches: bool) -> None:
    assert allows(f"User-agent: *\nDisallow: {pattern}", path) is not matches


@pytest.mark.parametrize(
    ("lines", "path", "allowed"),
    [  # the longest match decides, Allow wins a tie
        ("Allow: /p\nDisallow: /", "/page", True),
        ("Disallow: /\nAllow: /p", "/page", True),
        ("Allow: /folder\nDisallow: /folder", "/folder/page", True),
        ("Allow: /page\nDisallow: /*.htm", "/page.htm", False),
        ("Allow: /page\nDisallow: /*.ph", "/page.php5", True),
        ("Allow: /$\nDisallow: /", "/", True),
        ("Allow: /$\nDisallow: /", "/page.htm", False),
        ("Allow: /example/page/\nDisallow: /example/page/disallowed.gif", "/example/page/disallowed.gif", False),
        ("Disallow:", "/a", True),
        ("Disallow:\nDisallow: /b", "/a", True),
        ("Disallow: /b\nDisallow:", "/b", False),
        ("Allow: /a", "/b", True),
        ("Disallow: /", "/robots.txt", True),
        ("Disallow: /a # because", "/a", False),
        ("Disallow: # all of it", "/a", True),
    ],
)
def test_precedence(lines: str, path: str, allowed: bool) -> None:
    assert allows(f"User-agent: *\n{lines}", path) is allowed


SPECIFIC = """
User-agent: *
Disallow: /all

User-agent: crawl
Disallow: /us

User-agent: other
Disallow: /

User-agent: CRAWL
Disallow: /we
"""


@pytest.mark.parametrize(
    ("token", "path", "allowed"),
    [
        ("Crawl", "/all", True),
        ("Crawl", "/us", False),
        ("Crawl", "/we", False),  # groups that name us are one group
        ("Crawl", "/x", True),
        ("other", "/x", False),
        ("Crawler", "/us", True),  # the token is compared whole
        ("Crawler", "/all", False),
        ("Cra", "/all", False),
    ],
)
def test_groups(token: str, path: str, allowed: bool) -> None:
    assert allows(SPECIFIC, path, token) is allowed


@pytest.mark.parametrize(
    ("body", "path", "allowed"),
    [
        ("User-agent: a\nUser-agent: Crawl\nDisallow: /x", "/x", False),
        ("User-agent: Crawl\n\nUser-agent: a\n\nDisallow: /x", "/x", False),  # empty lines end nothing
        ("User-agent: Crawl\nSitemap: /s.xml\nUser-agent: a\nDisallow: /x", "/x", False),
        ("User-agent: Crawl\nHost: h.test\nUser-agent: a\nDisallow: /x", "/x", False),
        ("User-agent: *\nCrawl-delay: 5\n\nUser-agent: bad\nDisallow: /", "/x", True),
        ("User-agent: Crawl\nDisallow:\n\nUser-agent: *\nDisallow: /", "/x", True),
        ("User-agent: Crawl\n\nUser-agent: *\nDisallow: /", "/x", False),  # one group with two names
        ("User-agent: *\nDisallow: /a\nUser-agent: *\nDisallow: /b", "/b", False),
        ("Disallow: /", "/x", True),  # of no group
        ("User-agent: Crawl/0.1\nDisallow: /", "/x", False),
        ("User-agent: Crawl*\nDisallow: /", "/x", False),
        ("User-agent: mycrawl\nDisallow: /", "/x", True),
        ("User-agent: * # everybody\nDisallow: /", "/x", False),
        ("", "/x", True),
        ("\n\n", "/x", True),
        ("user-AGENT : *\n  DISALLOW:/x", "/x", False),
        ("User agent: *\nDissallow: /x", "/x", False),
        ("User-agent *\nDisallow /x", "/x", False),
        ("User-agent: *\r\nDisallow: /x\r\n", "/x", False),
        ("User-agent: *\rDisallow: /x\rDisallow: /y", "/y", False),
        ("User-agent: *\nDisallow: /x\x0b/y", "/x", True),
        ("User-agent: *\nDis\0allow: /x\0", "/x", False),
        (b"\xef\xbb\xbfUser-agent: *\nDisallow: /x", "/x", False),
        (b"\xef\xbb\xbf\xef\xbb\xbfUser-agent: *\nDisallow: /x", "/x", True),
        ("User-agent: *\nDisallow: /x".encode("utf-16"), "/x", False),
        (b"\xfe\xff" + "User-agent: *\nDisallow: /x".encode("utf-16-be"), "/x", False),
        (b"User-agent: *\nDisallow: /caf\xe9", "/caf%E9", False),
        ("User-agent: *\nDisallow: /café", "/caf%C3%A9", False),
        ("<!DOCTYPE html><html>\nUser-agent: *\nDisallow: /\n", "/x", True),
        ("\n <HTML>\nUser-agent: *\nDisallow: /\n", "/x", True),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "/x", True),
    ],
)
def test_files_as_they_are(body: str | bytes, path: str, allowed: bool) -> None:
    assert allows(body, path) is allowed


@pytest.mark.parametrize(
    ("lines", "delay"),
    [
        ("Crawl-delay: 5", 5.0),
        ("Crawl-delay: 0.5", 0.5),
        ("Crawl-delay: .5", 0.5),
        ("Crawl-delay: 0", 0.0),
        ("Crawl-delay: 2\nCrawl-delay: 7\nCrawl-delay: 3", 7.0),
        ("Crawl-delay: 1000000000", 86400.0),
        ("Crawl-delay: " + "9" * 5000, 86400.0),
        ("Crawl-delay: -1", None),
        ("Crawl-delay: nan", None),
        ("Crawl-delay: inf", None),
        ("Crawl-delay: 1e3", None),
        ("Crawl-delay: 5s", None),
        ("Crawl-delay:", None),
        ("Request-rate: 1/5", 5.0),
        ("Request-rate: 2/1m 0600-0845", 30.0),
        ("Request-rate: 1/5\nCrawl-delay: 2", 2.0),
        ("Request-rate: 0/5", None),
        ("Request-rate: 1/0", 0.0),
        ("Request-rate: fast", None),
        ("Request-rate: 1/999999999h", 86400.0),
        ("Disallow: /x", None),
    ],
)
def test_delay(lines: str, delay: float | None) -> None:
    assert rules(f"User-agent: *\n{lines}").delay == delay


def test_the_delay_is_that_of_our_group() -> None:
    body = "User-agent: *\nCrawl-delay: 9\n\nUser-agent: crawl\nDisallow: /x\n\nUser-agent: other\nCrawl-delay: 4"
    assert [rules(body, token).delay for token in ("Crawl", "other", "third")] == [None, 4.0, 9.0]


def test_sitemaps_are_canonical_and_belong_to_nobody() -> None:
    body = "Sitemap: https://Other.test/a.xml#x\nUser-agent: x\nsitemap: /b.xml\nSitemap:\nSitemap: ftp://h/c\nSite-map: http://h.test:80/b.xml\n"
    assert rules(body).sitemaps == ("https://other.test/a.xml", "http://h.test/b.xml")
    assert len(rules("\n".join(f"Sitemap: /{n}.xml" for n in range(3000))).sitemaps) == MAX_SITEMAPS


def test_only_whole_lines_within_500_kib_count() -> None:
    head = b"User-agent: *\nDisallow: /first\n#"
    filler = head + b"x" * (MAX_ROBOTS_BYTES - len(head) - 11)
    cut = filler + b"\nDisallow: /second-long\nDisallow: /third"
    assert not allows(cut, "/first")
    assert allows(cut, "/second")  # "Disallow: /" must not be read as a rule
    assert allows(cut, "/third")
    assert robots_text(b"Disallow: /" + b"x" * 1_000_000) == ""


@pytest.mark.parametrize(
    "lines",
    [
        ["Disallow: /" + "*a" * 200_000 + "b"],
        ["Disallow: /" + "*a" * 1_000 + "b"] * 200,
        [f"Disallow: /*a{n}*b" for n in range(25_000)],
        ["Disallow: /" + "*a" * 20 + str(n) for n in range(9_000)],
        [f"Disallow: /%61*{n}" for n in range(25_000)],
        [f"Disallow: /d/{n}/" for n in range(25_000)],
    ],
)
def test_hostile_patterns_are_matched_in_bounded_time(lines: list[str]) -> None:
    hostile = rules("User-agent: *\n" + "\n".join(lines))
    url = ORIGIN + "/" + "a" * 2_000
    hostile.allows(url)
    began = time.process_time()
    hostile.allows(url)
    assert time.process_time() - began < 0.1


def test_beyond_the_wildcards_nothing_becomes_allowed() -> None:
    body = "User-agent: *\n" + "".join(f"Disallow: /{n}*x\nAllow: /{n}*xy\n" for n in range(6_000))
    assert not allows(body, "/4999_x")
    assert allows(body, "/4999_")
    assert not allows(body, "/5999_x")
    assert not allows(body, "/5999_")  # cut at its wildcard
    assert not allows(body, "/5999_xy")  # allowed by a rule that no longer counts
    assert allows(body, "/z")


def test_beyond_the_number_of_rules_nothing_becomes_allowed() -> None:
    body = "User-agent: *\n" + "".join(f"Disallow: /a/{n}/\n" for n in range(MAX_RULES)) + "Allow: /a/1/x\nDisallow: /z/1\n"
    assert not allows(body, "/a/1/")
    assert not allows(body, "/a/1/x")  # allowed by a rule that no longer counts
    assert allows(body, "/a/z")
    assert not allows(body, "/z/2")  # cut to its first character
    assert allows(body, "/y")
    assert not allows(body + "Disallow: /$x\n", "/y")  # cut to "/$" it would speak of the root alone


HOSTILE_FILES = {
    "bytes": b"\xff" * MAX_ROBOTS_BYTES,
    "every other byte": b"\xffa" * (MAX_ROBOTS_BYTES // 2),
    "empty lines": b"\n" * MAX_ROBOTS_BYTES,
    "returns": b"\r" * MAX_ROBOTS_BYTES,
    "short lines": b"a\n" * (MAX_ROBOTS_BYTES // 2),
    "rules": b"User-agent: *\n" + b"".join(b"Disallow:/%x\n" % n for n in range(35_000)),
    "anchors": b"User-agent: *\n" + b"".join(b"Disallow:/%x$\n" % n for n in range(30_000)),
    "escapes": b"User-agent: *\n" + b"".join(b"Disallow:/%%41%x\n" % n for n in range(25_000)),
    "groups": b"User-agent: *\nAllow: /\n" * 20_000,
    "sitemaps": b"".join(b"Sitemap: http://[%d\n" % n for n in range(20_000)),
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_hostile_files_are_read_in_bounded_time(name: str) -> None:
    """It happens in the reactor's thread; what takes a tenth of a second here took three times that before there were limits."""
    assert min(seconds_to_read(HOSTILE_FILES[name]) for _ in range(3)) < 0.2  # the least: other work on the machine only adds


def seconds_to_read(file: bytes) -> float:
    began = time.process_time()
    rules(file)
    return time.process_time() - began


@pytest.mark.parametrize(
    "body", [SPECIFIC, "User-agent: crawl\nCrawl-delay: 2.5\nSitemap: /s\nAllow: /a\nDisallow: /*b$", "Sitemap: /s", ""]
)
def test_the_text_kept_gives_the_same_rules_again(body: str) -> None:
    first = rules(body)
    again = read_rules(first.text, "Crawl", ORIGIN)
    assert (again.delay, again.sitemaps, again.text) == (first.delay, first.sitemaps, first.text)
    assert [again.allows(ORIGIN + p) for p in ("/us", "/xb", "/all")] == [first.allows(ORIGIN + p) for p in ("/us", "/xb", "/all")]


@pytest.mark.parametrize(
    ("user_agent", "token"),
    [
        ("Crawl/0.1", "Crawl"),
        ("Crawl/0.1 (+https://example.com/bot)", "Crawl"),
        ("My-Bot_2", "My-Bot_2"),
        ("Mozilla/5.0 (compatible; SomeBot/2.1; +http://x)", "SomeBot"),
        ("Mozilla/5.0 (X11; Linux)", "Mozilla"),
        (" /", "Crawl"),
    ],
)
def test_product_token(user_agent: str, token: str) -> None:
    assert product_token(user_agent) == token


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([b"User-agent: *", b"Disallow: /\xff*", b"Sitemap: x", b"\0", b"\r", b"\xff\xfe"])).map(b"\n".join)
)
def test_any_bytes_are_rules(body: bytes) -> None:
    found = rules(body)
    assert found.text.isascii()
    assert found.allows(ORIGIN + "/robots.txt")
    assert isinstance(found.allows(ORIGIN + "/a?b"), bool)


PIECES = st.sampled_from(["/", "a", "B", "1.", "~", "%7E", "%2F", " ", ",", "*", "$", "é", "-", "fish"])


@given(st.lists(st.tuples(st.booleans(), st.lists(PIECES, max_size=4)), max_size=5), st.lists(PIECES, max_size=5))
def test_the_short_way_says_what_the_long_one_says(written: list[tuple[bool, list[str]]], path: list[str]) -> None:
    """Most URLs begin like none of the patterns: that is told without asking the matcher, and must be what it would have said."""
    lines = [f"{'Allow' if allow else 'Disallow'}: {''.join(pattern)}" for allow, pattern in written]
    found = rules("User-agent: *\n" + "\n".join(lines))
    url = urls.canonicalise(f"{ORIGIN}/{''.join(path)}")
    assert url is not None
    long_way = found.matcher is None or bool(found.matcher.can_fetch(url, "*"))
    assert found.allows(url) is long_way


def test_the_short_way_is_taken() -> None:
    assert rules("User-agent: *\nDisallow: /1.\nDisallow: /book/*/x\nAllow: /").starts is not None
    assert rules("User-agent: *\nDisallow: /*.pdf").starts is None
    assert rules("User-agent: *\nDisallow: *x").starts is None
