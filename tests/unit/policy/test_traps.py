from __future__ import annotations

from pathlib import Path

import pytest

from crawler.policy.sessions import without_session
from crawler.policy.traps import refusal

REPEATED, DEPTH, QUERY = "trap:repeated_segments", "trap:path_depth", "trap:query_parameters"
GROWING, CALENDAR = "trap:growing_query", "trap:calendar"
LATEST_YEAR = 2031


@pytest.mark.parametrize(
    ("path", "trap"),
    [
        ("/", None),
        ("/a/a/a", None),
        ("/a/a/a/a", REPEATED),
        ("/a/a/a/a/", REPEATED),
        ("/x/y/a/a/a/a/index.html", REPEATED),
        ("/a/b/a/b", None),
        ("/a/b/a/b/a/b", REPEATED),
        ("/start/a/b/a/b/a/b/end", REPEATED),
        ("/a/b/c/a/b/c", None),
        ("/a/b/c/a/b/c/a/b/c", REPEATED),
        ("/a/1/a/2/a/3/a/4", REPEATED),  # a counter between the repeats
        ("/a/x/a/y/a/z/a/v/a", None),
        ("/a/x/a/y/a/z/a/v/a/w/a", REPEATED),  # six in all
        ("/0/0/0/0/0/0", None),  # tiles, sharded numbers
        ("/000/000/000/000/012/scan.png", None),
        ("/2024/01/01/01/a", None),
        ("/a//b//c//d", None),
        ("/" + "/".join(f"d{n}" for n in range(30)), None),
        ("/" + "/".join(f"d{n}" for n in range(31)), DEPTH),
        ("/" + "/".join("1" * 31), DEPTH),
        ("/p?" + "&".join(f"a{n}=1" for n in range(50)), None),
        ("/p?" + "&".join(f"a{n}=1" for n in range(51)), QUERY),
        ("/p" + "&" * 60, None),  # not in the query
        ("/p?next=/a/a/a/a/a", None),  # slashes in the query are no path
    ],
)
def test_shapes(path: str, trap: str | None) -> None:
    assert refusal(f"http://h.test{path}") == trap


@pytest.mark.parametrize(
    ("query", "trap"),
    [
        ("a=1&a=1&a=1", None),
        ("a=1&a=1&a=1&a=1", GROWING),
        ("a=1&b=2&a=1&b=2&a=1&b=2&a=1&b=2", GROWING),
        ("brand=a&brand=b&brand=c&brand=d&brand=e&brand=f", None),
        ("id[]=1&id[]=2&id[]=3&id[]=4&id[]=5", None),
        ("a=&b=&c=&d=&e=&f=", None),
        ("&&&&&&", None),
        ("next=/a?next=/b?next=/c", None),
        ("next=/a?next=/b?next=/c?next=/d", GROWING),
        ("next=%2Fa%3Fnext%3D%252Fb%253Fnext%253D%25252Fc", None),
        ("next=%2Fa%3Fnext%3D%252Fb%253Fnext%253D%25252Fc%25253Fnext%25253D%2525252Fd", GROWING),
        ("q=what???+why???", None),
        ("q=100%25%25%25", None),
        ("url=https://example.org/a?b=1%26c=2", None),
        ("q=%", None),
    ],
)
def test_queries(query: str, trap: str | None) -> None:
    assert refusal(f"http://h.test/p?{query}") == trap


@pytest.mark.parametrize(
    ("path", "trap"),
    [
        ("/calendar/2031-12", None),
        ("/calendar/2032-01", CALENDAR),
        ("/calendar/2032-01-15?view=day", CALENDAR),
        ("/kalender/2032/01/", CALENDAR),
        ("/events/2032/11/30", CALENDAR),
        ("/cal?date=2099-01-01", CALENDAR),
        ("/cal?month=2031-02", None),
        ("/cal?month=4&year=2032", CALENDAR),
        ("/cal?year=12031&month=4", CALENDAR),
        ("/cal?cal_year=2032&cal_month=4", CALENDAR),
        ("/cal?year=2032", None),  # no month: a model's, a goal's
        ("/calendar/1901-05", None),  # archives reach far back
        ("/events/2345/7", None),  # an event's number and a page
        ("/events/4711/01/12", None),
        ("/reports/2050-01/climate", None),  # no word of a calendar
        ("/calendar/20320101", None),
    ],
)
def test_calendars(path: str, trap: str | None) -> None:
    assert refusal(f"http://h.test{path}", LATEST_YEAR) == trap
    assert refusal(f"http://h.test{path}") is None, "without a year nothing is too far ahead"


@pytest.mark.parametrize(
    "path",
    [
        "/2024/05/17/ten-years-of-crawling",
        "/blog/2009/12/",
        "/calendar/2026/12/31",
        "/shop/list?brand=a&brand=b&colour=red&sort=price&page=12",
        "/shop/c/shoes/men/running/red?size=42&size=43&size=44&size=45",
        "/w/index.php?title=Talk:A&action=edit&section=3&oldid=123456",
        "/wiki/Category:2050s?from=C",
        "/wiki/2050",
        "/viewtopic.php?f=5&t=12345&start=2040&sid=15",
        "/forum/thread/20450/page/07",
        "/project/repo/blob/main/src/test/java/test/TestTest.java",
        "/repo.git/commit/?h=next&id=8d5f3ae0c1b24b0d9d0c1b9c5a3e1f7a6b5c4d3e",
        "/login?return_to=https%3A%2F%2Fh.test%2Fsearch%3Fq%3Da%2526b%26page%3D2",
        "/sso?u=%2Flogin%3Fnext%3D%252Fsearch%253Fq%253Dx",
        "/map/12/2048/1362.png",
        "/ajax?ids=1,2,3&ids=4&x=&y=&x=&y=&x=&y=&x=&y=",
        "/proxy?https://example.org/?a=1",
        "/timetable?date=2027-03-04&time=10:30",
        "/schedule/week/2026-31",
    ],
)
def test_urls_as_sites_have_them_pass(path: str) -> None:
    url = f"http://h.test{path}"
    assert refusal(url, LATEST_YEAR) is None
    assert without_session(url) == url


@pytest.mark.parametrize(
    "path",
    [
        "/usr/share/doc/rust-doc/html/core/core_arch/x86_64/fn._mm_add_epi8.html",
        "/rust/std/src/core/str/pattern.rs.html",
        "/src/core/core/core_arch/core.rs.html",
        "/library/test/test/support/test/data.html",
        "/docs/en/docs/api/v1/docs",
        "/2024/11/22/2024-11-22",
        "/a/tree/main/src/main/java/org/example/main/java",
    ],
)
def test_real_paths_pass(path: str) -> None:
    assert refusal(f"http://h.test{path}") is None


def test_a_url_of_the_greatest_length_is_cheap() -> None:
    assert refusal("http://h.test" + "/a/b" * 500) == DEPTH


@pytest.mark.real_site
@pytest.mark.parametrize("package", ["rust-doc", "python3.11-doc", "postgresql-doc-15"])
def test_no_path_of_real_documentation_is_a_trap(package: str) -> None:
    listing = Path(f"/var/lib/dpkg/info/{package}.list")
    if not listing.exists():
        pytest.skip(f"{package} is not installed")
    paths = listing.read_text().splitlines()
    assert len(paths) > 500
    found = [f"http://h.test{path}" for path in paths]
    assert [url for url in found if refusal(url, LATEST_YEAR) or without_session(url) != url] == []
