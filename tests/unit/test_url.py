from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler import url as urls
from crawler.url import MAX_URL_LENGTH, canonicalise, fingerprint

BASE = "http://h.test/a/b?q"


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("http://h.test", "http://h.test/"),
        ("HTTP://H.TEST:80/A", "http://h.test/A"),
        ("https://h.test:443/", "https://h.test/"),
        ("http://h.test:443/", "http://h.test:443/"),
        ("http://h.test:/", "http://h.test/"),
        ("http://h.test:0/", "http://h.test:0/"),
        ("http://h.test:65536/", None),
        ("http://h.test./a", "http://h.test/a"),
        ("http://h.test.:8080/a", "http://h.test:8080/a"),
        ("http://h.test/a/../b/./c/", "http://h.test/b/c/"),
        ("http://h.test/" + "../" * 500, "http://h.test/"),
        ("http://h.test/a/%2e%2E/b", "http://h.test/b"),
        ("http://h.test/a#b", "http://h.test/a"),
        ("http://h.test/a?#b", "http://h.test/a"),
        ("http://h.test/?", "http://h.test/"),
        ("http://h.test?x", "http://h.test/?x"),
        ("http://h.test/a?b?c", "http://h.test/a?b?c"),
        ("http://h.test/a?&", "http://h.test/a?&"),
        # percent-encoding
        ("http://h.test/%7Efoo", "http://h.test/~foo"),
        ("http://h.test/~foo", "http://h.test/~foo"),
        ("http://h.test/%61%2d%5F?%7e", "http://h.test/a-_?~"),
        ("http://h.test/a%2fb", "http://h.test/a%2Fb"),
        ("http://h.test/a%2Fb", "http://h.test/a%2Fb"),
        ("http://h.test/operator%.html", "http://h.test/operator%.html"),
        ("http://h.test/%", "http://h.test/%"),
        ("http://h.test/%zz%4", "http://h.test/%zz%4"),
        ("http://h.test/%%34%31", "http://h.test/%%34%31"),  # nor made of the pieces of others
        ("http://h.test/%.%7e%2f", "http://h.test/%.%7E%2F"),
        ("http://h.test/%2561", "http://h.test/%2561"),  # an encoded percent sign is not decoded twice
        ("http://h.test/é?é", "http://h.test/%C3%A9?%C3%A9"),
        ("http://h.test/a b", "http://h.test/a%20b"),
        ("http://h.test/%00", "http://h.test/%00"),
        # click trackers
        ("http://h.test/?utm_source=x&a=1&gclid=2&b", "http://h.test/?a=1&b"),
        ("http://h.test/?utm_source=x", "http://h.test/"),
        ("http://h.test/?UTM_Source=x&fbclid", "http://h.test/"),
        ("http://h.test/?utm=1&my_gclid=2&_game=3", "http://h.test/?utm=1&my_gclid=2&_game=3"),
        ("http://h.test/?b=2&a=1&a=1", "http://h.test/?b=2&a=1&a=1"),
        # credentials (hostile: a password is never kept; the host is the one browsers see)
        ("http://user:pw@h.test/", "http://h.test/"),
        ("http://good.test@evil.test/", "http://evil.test/"),
        ("http://good.test\\@evil.test/", "http://good.test/@evil.test/"),
        ("http://u@h.test.:81/x@y", "http://h.test:81/x@y"),
        ("http://u:p@[::1]:81/", "http://[::1]:81/"),
        ("http://h.test/@x", "http://h.test/@x"),
        # addresses in disguise
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://0177.0.0.1/", "http://127.0.0.1/"),
        ("http://127.1/", "http://127.0.0.1/"),
        ("http://①②⑦.0.0.1/", "http://127.0.0.1/"),
        ("http://127.0.0.1./", "http://127.0.0.1/"),
        ("http://256.0.0.1/", None),
        ("http://1.2.3.4.5/", None),
        ("http://[0:0::1]/", "http://[::1]/"),
        ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://[::1/", None),
        # names
        ("http://bücher.test/", "http://xn--bcher-kva.test/"),
        ("http://BÜCHER.test/", "http://xn--bcher-kva.test/"),
        ("http://ｈ．ｔｅｓｔ/", "http://h.test/"),
        ("http://h。test/", "http://h.test/"),
        ("http://faß.test/", "http://xn--fa-hia.test/"),
        ("http://h.test../", None),
        ("http://../", None),
        ("http://a b/", None),
        ("http://a%00b/", None),
        ("http://./", None),
        ("http:///", None),
        ("http://", None),
        # spelling
        (" http://h.test/a\n", "http://h.test/a"),
        ("ht\ntp://h.te\tst/a\r\nb", "http://h.test/ab"),
        ("http:\\\\h.test\\a", "http://h.test/a"),
        ("http:/h.test/a", "http://h.test/a"),
        ("http:h.test", "http://h.test/"),
        ("http://\ud800/", None),
        ("http://h.test/\ud800", None),
        # not ours
        ("ftp://h.test/", None),
        ("file:///etc/passwd", None),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("ws://h.test/", None),
        ("httpx://h.test/", None),
        ("h.test/a", None),
        ("", None),
    ],
)
def test_absolute(url: str, canonical: str | None) -> None:
    assert canonicalise(url) == canonical


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("c", "http://h.test/a/c"),
        ("./c", "http://h.test/a/c"),
        ("../c", "http://h.test/c"),
        ("/c", "http://h.test/c"),
        ("//other.test/c", "http://other.test/c"),
        ("///other.test/c", "http://other.test/c"),
        ("\\\\other.test\\c", "http://other.test/c"),
        ("?x", "http://h.test/a/b?x"),
        ("?", "http://h.test/a/b"),
        ("", BASE),
        ("#top", BASE),
        ("http:c", "http://h.test/a/c"),
        ("https:c", "https://c/"),
        ("c:d", None),
        ("./c:d", "http://h.test/a/c:d"),
        (" c ", "http://h.test/a/c"),
        ("http://", None),
        ("mailto:a@h.test", None),
    ],
)
def test_relative(url: str, canonical: str | None) -> None:
    assert canonicalise(url, BASE) == canonical


def test_length_is_capped() -> None:
    longest = "http://h.test/" + "a" * (MAX_URL_LENGTH - 14)
    assert canonicalise(longest) == longest
    assert canonicalise(longest + "a") is None
    assert canonicalise(longest + "#" + "x" * 100_000) == longest
    assert canonicalise("http://h.test/" + "a" * 2_000_000) is None
    assert canonicalise("http://h.test/" + "é" * 1_000) is None  # too long only when encoded


@pytest.mark.parametrize(
    ("url", "origin", "netloc", "host", "port", "path"),
    [
        ("http://h.test/", "http://h.test", "h.test", "h.test", 80, "/"),
        ("https://h.test/a?b=/c", "https://h.test", "h.test", "h.test", 443, "/a?b=/c"),
        ("https://h.test:81/a", "https://h.test:81", "h.test:81", "h.test", 81, "/a"),
        ("http://[::1]/a", "http://[::1]", "[::1]", "[::1]", 80, "/a"),
        ("http://[::1]:8000/a", "http://[::1]:8000", "[::1]:8000", "[::1]", 8000, "/a"),
    ],
)
def test_parts(url: str, origin: str, netloc: str, host: str, port: int, path: str) -> None:
    assert canonicalise(url) == url
    assert (urls.origin(url), urls.netloc(url), urls.host(url), urls.port(url), urls.path(url)) == (origin, netloc, host, port, path)


def test_fingerprint_fits_sqlite_and_is_stable() -> None:
    assert fingerprint("http://h.test/") == fingerprint("http://h.test/")
    keys = {fingerprint(f"http://h.test/{number}") for number in range(10_000)}
    assert len(keys) == 10_000
    assert min(keys) < 0 < max(keys)
    assert all(-(1 << 63) <= key < 1 << 63 for key in keys)


PIECES = (
    *("http://", "https:", "//h.test", "h.test.", "1.2", "0x7f", "[::1]", "xn--", ":", "80", "/", "//", ".", "..", ";"),
    *("%2e", "%2F", "%zz", "%", "%41", "41", "?", "&", "=", "utm_a", "#", "@", "user:pw", "\\", "\t", "\n", " ", "é", "ß", "ÿ", "\x00"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(), st.none() | st.just(BASE))
@example("http://user@.:80", None)
@example("http://h.test..", None)
@example("http://h.test/?utm_a&?utm_b", None)
@example("http://h.test/%%34%31", None)
@example("http://h.test/%2%65%2e", None)
@example("http://h.test/%%32%65%%32%65/a", None)
def test_canonicalise_holds_its_promises(url: str, base: str | None) -> None:
    once = canonicalise(url, base)
    if once is None:
        return
    assert once.startswith(("http://", "https://"))
    assert len(once) <= MAX_URL_LENGTH
    assert once.isascii()
    assert once.isprintable()
    assert " " not in once
    assert "#" not in once
    assert "@" not in urls.netloc(once)
    assert urls.path(once).startswith("/")
    assert urls.host(once)
    assert 0 <= urls.port(once) < 65536
    assert canonicalise(once) == once, "canonicalising twice changes nothing"


def test_exact_leaves_path_and_query_as_they_are() -> None:
    assert canonicalise("HTTP://A.test:80/%7e?utm_source=1&b=%2f#x", exact=True) == "http://a.test/%7e?utm_source=1&b=%2f"
    assert canonicalise("http://u:p@a.test./?", exact=True) == "http://a.test/?"
    assert canonicalise("ftp://a.test/", exact=True) is None
