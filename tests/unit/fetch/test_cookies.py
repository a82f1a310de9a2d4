"""Cookies by the algorithms of RFC 6265bis: what is kept, what goes where, and what an answer cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler import url as urls
from crawler.errors import InvalidConfig
from crawler.fetch import cookies as cookies_module
from crawler.fetch.cookie import SuffixRules, default_path, domain_match, make_cookie, parse_date, path_match
from crawler.fetch.cookies import MAX_COOKIES, MAX_OF_SITE, MAX_SENT, CookieStore, read_cookies

NOW = 1_700_000_000.0
HTTPS = "https://www.example.com/"
RULES = SuffixRules()


class Time:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store(time: Time) -> CookieStore:
    return CookieStore(now=time)


def kept(field: str, url: str = HTTPS, asked: str | None = None) -> str:
    """Return what a request to `asked` carries after an answer from `url` has set `field`."""
    store = CookieStore(now=lambda: NOW)
    store.learn(url, [field])
    return store.header(asked or url)


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("a=1", "a=1"),
        ("  a =  1  2 ; Path=/", "a=1  2"),
        ("a=", "a="),
        ("a", "a"),  # without an equals sign it is a value
        ("=a=1", "a=1"),
        ("=", ""),
        ("", ""),
        (";Path=/", ""),
        ("a=1=2", "a=1=2"),
        ('a="1; 2"', 'a="1'),  # quotes mean nothing
        ("a=1\x00", ""),
        ("a=1\r\nX: y", ""),
        ("a=1\x7f", ""),
        ("a=1\t2", "a=1\t2"),
        ("a=1; Path=/\x01", ""),
        ("a=é", "a=é"),
        ("a=\ud800", ""),
        ("a=" + "x" * 4095, "a=" + "x" * 4095),
        ("a=" + "x" * 4096, ""),
        ("é=" + "x" * 4094, "é=" + "x" * 4094),
        ("é=" + "x" * 4095, ""),  # bytes, not characters
        ("a=1; Unknown; SameSite=Strict; HttpOnly; Partitioned", "a=1"),
    ],
)
def test_what_is_a_cookie(field: str, sent: str) -> None:
    assert kept(field) == sent


@pytest.mark.parametrize(
    ("url", "field", "asked", "sent"),
    [
        # host-only
        (HTTPS, "a=1", HTTPS, True),
        (HTTPS, "a=1", "https://example.com/", False),
        (HTTPS, "a=1", "https://a.www.example.com/", False),
        (HTTPS, "a=1", "https://www.example.com:8443/", True),  # cookies know no ports
        # Domain
        (HTTPS, "a=1; Domain=example.com", "https://example.com/", True),
        (HTTPS, "a=1; domain=.EXAMPLE.com", "https://other.example.com/", True),
        (HTTPS, "a=1; Domain=example.com", "https://badexample.com/", False),
        (HTTPS, "a=1; Domain=", HTTPS, True),
        (HTTPS, "a=1; Domain=", "https://a.www.example.com/", False),
        (HTTPS, "a=1; Domain=www.example.com", "https://a.www.example.com/", True),
        (HTTPS, "a=1; Domain=a.www.example.com", "https://a.www.example.com/", False),
        (HTTPS, "a=1; Domain=other.com", "https://other.com/", False),
        (HTTPS, "a=1; Domain=other.com", HTTPS, False),
        (HTTPS, "a=1; Domain=éxample.com", HTTPS, False),
        (HTTPS, "a=1; Domain=other.com; Domain=example.com", "https://example.com/", True),  # the last one counts
        (HTTPS, "a=1; Domain=..example.com", HTTPS, False),
        # public suffixes, private section included
        (HTTPS, "a=1; Domain=com", HTTPS, False),
        (HTTPS, "a=1; Domain=.com", "https://other.com/", False),
        ("https://a.co.uk/", "a=1; Domain=co.uk", "https://a.co.uk/", False),
        ("https://me.github.io/", "a=1; Domain=github.io", "https://you.github.io/", False),
        ("https://github.io/", "a=1; Domain=github.io", "https://github.io/", True),  # itself: as if there were no Domain
        ("https://github.io/", "a=1; Domain=github.io", "https://you.github.io/", False),
        ("http://localhost/", "a=1; Domain=localhost", "http://localhost/", True),
        ("http://localhost/", "a=1; Domain=localhost", "http://x.localhost/", False),
        ("http://wiki.corp/", "a=1; Domain=wiki.corp", "http://a.wiki.corp/", True),
        ("http://wiki.corp/", "a=1; Domain=corp", "http://other.corp/", False),
        # addresses
        ("http://127.0.0.1/", "a=1", "http://127.0.0.1:81/", True),
        ("http://127.0.0.1/", "a=1; Domain=127.0.0.1", "http://127.0.0.1/", True),
        ("http://127.0.0.1/", "a=1; Domain=0.0.1", "http://127.0.0.1/", False),
        ("http://127.0.0.1/", "a=1; Domain=1", "http://127.0.0.1/", False),
        ("http://[::1]/", "a=1", "http://[::1]/", True),
        # Path
        (HTTPS, "a=1; Path=/docs", "https://www.example.com/docs", True),
        (HTTPS, "a=1; Path=/docs", "https://www.example.com/docs/x?y=/z", True),
        (HTTPS, "a=1; Path=/docs", "https://www.example.com/docsx", False),
        (HTTPS, "a=1; Path=/docs/", "https://www.example.com/docs", False),
        (HTTPS, "a=1; Path=docs", "https://www.example.com/else", True),
        ("https://www.example.com/in/folder/page", "a=1", "https://www.example.com/in/folder", True),
        ("https://www.example.com/in/folder/page", "a=1", "https://www.example.com/in/", False),
        ("https://www.example.com/in/page?a=/b/c", "a=1; Path=", "https://www.example.com/in/x", True),
        # Secure
        (HTTPS, "a=1", "http://www.example.com/", True),
        (HTTPS, "a=1; Secure", "http://www.example.com/", False),
        (HTTPS, "a=1; SECURE=no", "https://www.example.com/", True),
        ("http://www.example.com/", "a=1; Secure", "https://www.example.com/", False),
        # prefixes
        (HTTPS, "__Secure-a=1; Secure", HTTPS, True),
        (HTTPS, "__Secure-a=1", HTTPS, False),
        (HTTPS, "__secure-a=1", HTTPS, False),
        (HTTPS, "__Host-a=1; Secure; Path=/", HTTPS, True),
        (HTTPS, "__Host-a=1; Secure", HTTPS, False),
        (HTTPS, "__HOST-a=1; Secure; Path=/x", "https://www.example.com/x", False),
        (HTTPS, "__Host-a=1; Path=/", HTTPS, False),
        (HTTPS, "__Host-a=1; Secure; Path=/; Domain=example.com", HTTPS, False),
        (HTTPS, "=__Host-a=1; Secure; Path=/", HTTPS, False),
        (HTTPS, "__Secure-a; Secure", HTTPS, False),
    ],
)
def test_where_a_cookie_goes(url: str, field: str, asked: str, sent: bool) -> None:
    assert bool(kept(field, url, asked)) is sent


@pytest.mark.parametrize(
    ("attributes", "seconds"),  # for which the cookie is kept; None: until the end
    [
        ("", None),
        ("; Max-Age=60", 60),
        ("; Max-Age=0", 0),
        ("; Max-Age=-1", 0),
        ("; Max-Age=" + "9" * 40, 400 * 86400),
        ("; Max-Age=-" + "9" * 40, 0),
        ("; Max-Age=soon", None),
        ("; Max-Age=+60", None),
        ("; Max-Age=6_0", None),
        ("; Max-Age=٦٠", None),
        ("; Expires=Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("; Expires=Tue, 14 Nov 2023 22:12:20 GMT", 0),
        ("; Expires=Fri, 31 Dec 9999 23:59:59 GMT", 400 * 86400),
        ("; Expires=Tue, 14 Nov 2023 22:14:20 GMT; Max-Age=5", 5),
        ("; Max-Age=60; Max-Age=5", 5),
        ("; Expires=nonsense", None),
        ("; Max-Age=60; Max-Age=" + "5" * 1025, 60),  # too long an attribute is none
    ],
)
def test_how_long_a_cookie_is_kept(store: CookieStore, time: Time, attributes: str, seconds: float | None) -> None:
    store.learn(HTTPS, [f"a=1{attributes}"])
    if seconds is None:
        time.now += 10 * 365 * 86400
        assert store.header(HTTPS) == "a=1"
        return
    time.now += seconds - 1
    assert store.header(HTTPS) == ("a=1" if seconds else "")
    time.now += 1
    assert store.header(HTTPS) == ""


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("8:49:37 6 november 94", 784111777),
        ("06 Nov 1994 08:49:37junk", 784111777),
        ("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800),
        ("01 Jan 69 00:00:00", 3124224000),
        ("Thu, 30 Feb 2024 00:00:00 GMT", None),
        ("Thu, 00 Jan 2024 00:00:00 GMT", None),
        ("Sun, 06 Nov 1600 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 24:00:00 GMT", None),
        ("Sun, 06 Nov 1994 08:60:00 GMT", None),
        ("Sun, 06 Nov 1994", None),
        ("08:49:37 Nov 1994", None),
        ("", None),
        ("0", None),
    ],
)
def test_dates(text: str, at: float | None) -> None:
    assert parse_date(text) == at


def test_a_cookie_replaces_the_one_of_its_name_domain_and_path_and_keeps_its_place(store: CookieStore, time: Time) -> None:
    store.learn(HTTPS, ["a=1", "b=1", "a=1; Path=/x"])
    time.now += 1
    store.learn(HTTPS, ["a=2"])
    assert store.header(HTTPS) == "a=2; b=1"
    assert store.header("https://www.example.com/x") == "a=1; a=2; b=1"  # the longest path first
    assert len(store) == 3


def test_an_expired_cookie_removes_the_one_it_replaces(store: CookieStore) -> None:
    store.learn(HTTPS, ["a=1", "a=; Max-Age=0"])
    assert store.header(HTTPS) == ""
    assert len(store) == 0


def test_what_comes_unencrypted_cannot_stand_in_for_a_secure_cookie(store: CookieStore) -> None:
    store.learn(HTTPS, ["a=1; Secure; Domain=example.com; Path=/x"])
    store.learn("http://www.example.com/x/", ["a=2", "a=3; Domain=example.com; Path=/x", "b=1"])
    assert store.header("https://www.example.com/x/") == "a=1; b=1"
    store.learn("http://www.example.com/", ["a=4; Path=/"])  # beside it, not over it
    assert store.header("https://www.example.com/x/") == "a=1; b=1; a=4"


def test_no_answer_brings_more_than_so_many_cookies_and_no_site_keeps_more(store: CookieStore, time: Time) -> None:
    store.learn(HTTPS, [f"c{number}=1" for number in range(10_000)])
    assert len(store) == MAX_OF_SITE
    store.learn("https://other.example.com/", [f"c{number}=1; Domain=example.com" for number in range(100, 140)])
    assert len(store) == MAX_OF_SITE


def test_of_a_full_site_what_expired_goes_first_then_what_is_not_secure_then_what_was_not_sent_for_longest(
    store: CookieStore, time: Time
) -> None:
    rest = [f"c{number}=1; Secure" for number in range(MAX_OF_SITE - 3)]
    store.learn(HTTPS, ["old=1; Max-Age=5; Secure", "plain=1; Path=/x", "sent=1", *rest])
    time.now += 1
    store.header(HTTPS)  # all but the one for /x
    time.now += 9
    store.learn(HTTPS, ["new1=1; Secure"])
    everything = "https://www.example.com/x"
    assert "plain=1" in store.header(everything)
    store.learn(HTTPS, ["new2=1; Secure"])
    assert ("sent=1" in store.header(everything)) ^ ("plain=1" in store.header(everything))
    assert "new1=1; new2=1" in store.header(everything)
    assert len(store) == MAX_OF_SITE


def test_beyond_so_many_in_all_the_site_asked_longest_ago_is_forgotten(store: CookieStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cookies_module, "MAX_COOKIES", 4)
    for name in ("a", "b"):
        store.learn(f"https://{name}.com/", ["x=1", "y=1"])
    assert store.header("https://a.com/")
    store.learn("https://c.com/", ["x=1"])
    assert [bool(store.header(f"https://{name}.com/")) for name in "abc"] == [True, False, True]
    assert len(store) == 3


def test_ten_thousand_sites_are_no_more_work_than_one(store: CookieStore) -> None:
    for number in range(MAX_COOKIES + 100):
        store.learn(f"https://s{number}.com/", ["a=1"])
    assert len(store) == MAX_COOKIES
    assert store.header("https://s0.com/") == ""
    assert store.header(f"https://s{MAX_COOKIES}.com/") == "a=1"


def test_no_cookie_field_is_longer_than_servers_take(store: CookieStore) -> None:
    store.learn(HTTPS, [f"c{number}={'x' * 1000}" for number in range(50)])
    assert 7000 < len(store.header(HTTPS)) <= MAX_SENT


def test_the_matching_algorithms_themselves() -> None:
    assert domain_match("a.b.c", "b.c")
    assert not domain_match("ab.c", "b.c")
    assert not domain_match("1.2.3.4", "3.4")
    assert path_match("/a/b", "/a")
    assert path_match("/a/b", "/a/")
    assert not path_match("/ab", "/a")
    assert [default_path(f"http://h{path}") for path in ("", "/", "/a", "/a/", "/a/b?c/d")] == ["/", "/", "/", "/a", "/a"]


field_text = st.text(st.characters(codec=None, categories=None), max_size=30)
attribute = st.builds(
    lambda name, value: f"{name}={value}",
    st.sampled_from(["Domain", "Path", "Max-Age", "Expires", "Secure", "domain", ""]),
    st.one_of(field_text, st.sampled_from(["com", ".example.com", "/", "1", "Sun, 06 Nov 2094 08:49:37 GMT"])),
)


@settings(max_examples=300, deadline=None)
@given(
    field_text, st.lists(attribute, max_size=5), st.sampled_from([HTTPS, "http://127.0.0.1:8000/a/b", "http://[::1]/", "http://a.co.uk/x"])
)
def test_whatever_an_answer_sets_is_sent_on_one_line_and_to_its_own_site_alone(pair: str, attributes: list[str], url: str) -> None:
    cookie = make_cookie(";".join([pair, *attributes]), url, RULES, NOW)
    if cookie is None:
        return
    assert not any(char < " " and char != "\t" for char in cookie.name + cookie.value)
    assert ";" not in cookie.name + cookie.value
    (cookie.name + cookie.value).encode()
    assert RULES.site_of(cookie.domain) == RULES.site_of(urls.host(url))
    assert cookie.host_only or not RULES.is_suffix(cookie.domain)


# -- files --------------------------------------------------------------------------------------------------------

FILE = """# Netscape HTTP Cookie File
# a comment

.example.com\tTRUE\t/\tFALSE\t0\tsession\t1
example.com\tFALSE\t/docs\tTRUE\t4000000000\tsecure\t2
#HttpOnly_www.example.com\tFALSE\t/\tFALSE\t4000000000.5\thttponly\t3
www.example.com\tFALSE\t/\tFALSE\t1\texpired\t4
www.example.com\tFALSE\t/\tFALSE\t0\tempty
"""


def test_a_file_of_cookies(tmp_path: Path, store: CookieStore) -> None:
    file = tmp_path / "cookies.txt"
    file.write_text(FILE.replace("\n", "\r\n"))
    for cookie in read_cookies(file, NOW):
        store.put(cookie)
    assert store.header("http://www.example.com/docs") == "session=1; httponly=3; empty="
    assert store.header("https://example.com/docs/x") == "secure=2; session=1"
    assert store.header("http://example.com/docs/x") == "session=1"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("example.com TRUE / FALSE 0 name secret", "1 fields where 7 belong, parted by tabs"),
        ("example.com\tTRUE\t/\tFALSE\t0\tname\tsecret\tmore", "8 fields"),
        ("example.com\tYES\t/\tFALSE\t0\tname\tsecret", "field 2 must be TRUE or FALSE"),
        ("example.com\tTRUE\t/\t1\t0\tname\tsecret", "field 4 must be TRUE or FALSE"),
        ("example.com\tTRUE\tdocs\tFALSE\t0\tname\tsecret", "field 3, the path, must begin with /"),
        ("example.com\tTRUE\t/\tFALSE\tnever\tname\tsecret", "field 5, the expiry"),
        ("example.com\tTRUE\t/\tFALSE\t0\tname\tsecret;x", "semicolon"),
        ("example.com\tTRUE\t/\tFALSE\t0\tname\tsecret\x00", "control characters"),
        ("example.com\tTRUE\t/\tFALSE\t0\tname\tsecret" + "x" * 4096, "more than 4096 bytes"),
        ("https://example.com/\tTRUE\t/\tFALSE\t0\tname\tsecret", "field 1 must be a host name"),
        ("example.com:8000\tTRUE\t/\tFALSE\t0\tname\tsecret", "field 1 must be a host name"),
        ("\tTRUE\t/\tFALSE\t0\tname\tsecret", "field 1 must be a host name"),
    ],
)
def test_a_line_that_is_no_cookie_is_named_and_its_value_is_not(tmp_path: Path, line: str, complaint: str) -> None:
    file = tmp_path / "cookies.txt"
    file.write_text(f"# comment\n{line}\n")
    with pytest.raises(InvalidConfig) as caught:
        read_cookies(file, NOW)
    assert f"{file}, line 2: " in str(caught.value)
    assert complaint in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for file in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(InvalidConfig, match=rf"{file}: cannot be read: "):
            read_cookies(file, NOW)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidConfig, match="not UTF-8"):
        read_cookies(tmp_path / "binary", NOW)
