"""Lines of the index, and the keys they are sorted by."""

from __future__ import annotations

import json
import warnings

import pytest

from crawler.archive.cdxj import cdxj_line, filename_of, moved, surt
from crawler.url import canonicalise

with warnings.catch_warnings(action="ignore"):  # newer Pythons find fault with how it is written
    import surt as reference

URLS = [
    ("http://www.archive.org/", "org,archive)/"),
    ("https://archive.org/goo/", "org,archive)/goo"),
    ("http://archive.org/goo/?b&a=2&a=1", "org,archive)/goo?a=1&a=2&b"),
    ("http://127.0.0.1:8801/Library/x.html?B=2&A=1", "1,0,0,127:8801)/library/x.html?a=1&b=2"),
    ("https://example.com:443/", "com,example)/"),
    ("http://[::1]:80/a", "::1)/a"),
    ("http://www2.example.co.uk/a//b/%7Efoo/%C3%A9%20x", "uk,co,example)/a/b/~foo/%c3%a9%20x"),
    ("http://x.com/a%2Fb?q=%2F%26+a%20b", "com,x)/a/b?+a%20b&q=/"),
    ("http://x.com/a?PHPSESSID=9682993c8daa2c5497996114facdc805&x=1", "com,x)/a?x=1"),
    ("http://x.com/a?jsessionid=0123456789abcdefghijklemopqrstuv&x=1&b", "com,x)/a?b&x=1"),
    ("http://x.com/a?x=1&cfid=6&cftoken=2", "com,x)/a?&x=1"),
    ("http://x.com/(S(4hqa0555fwsecu455xqckv45))/mileg.aspx", "com,x)/mileg.aspx"),
    ("http://x.com/(4hqa0555fwsecu455xqckv45)/mileg.aspx?x=1", "com,x)/mileg.aspx?x=1"),
    ("http://xn--bcher-kva.example/Ü", "example,xn--bcher-kva)/%c3%9c"),
    ("http://x.com/a?x=%41%zz&Y=%c3", "com,x)/a?x=a%25zz&y=%c3"),
    ("http://x.com/a?a-b=1&a=2&=", "com,x)/a?=&a=2&a-b=1"),
    ("http://x.com/a/b%2F..%2F.%2Fc", "com,x)/a/c"),
    ("http://wwwfoo.com/", "com,wwwfoo)/"),
    ("http://www.com/", "com)/"),
    ("http://x.com/a%25%32%35b", "com,x)/a%25b"),
]


@pytest.mark.parametrize(("url", "key"), URLS)
def test_keys_are_those_of_the_surt_package(url: str, key: str) -> None:
    assert surt(canonicalise(url)) == key == reference.surt(url)


def test_a_line_says_where_its_record_is() -> None:
    line = cdxj_line(
        url="http://a.test/x",
        date="2026-11-22T23:25:43.123456Z",
        mime="text/html",
        status=200,
        digest="sha1:ABC",
        length=10,
        offset=300,
        filename="crawl-00000.warc.gz",
    )
    key, time, entry = line.decode().split(" ", 2)
    assert (key, time, line[-1:]) == ("test,a)/x", "20261122232543", b"\n")
    assert json.loads(entry) == {
        "url": "http://a.test/x",
        "mime": "text/html",
        "status": "200",
        "digest": "sha1:ABC",
        "length": "10",
        "offset": "300",
        "filename": "crawl-00000.warc.gz",
    }
    there = moved(line, by=1000, filename="all.warc.gz")
    assert json.loads(there.split(b" ", 2)[2])["offset"] == "1300"
    assert filename_of(there) == "all.warc.gz"
    assert there.split(b" ", 2)[:2] == line.split(b" ", 2)[:2]
