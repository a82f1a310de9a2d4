"""What requests carry by site: which pattern matches what, which wins, and where secrets do not go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.web.http_headers import Headers

from crawler.config import FetchSettings
from crawler.errors import InvalidConfig, UsageError
from crawler.fetch.sites import MANAGED_HEADERS, Session, conditional_fields, field_problem, make_session
from crawler.model import Conditional

SECRETS = {"env:PASSWORD": "pa:ss wörd", "env:TOKEN": "t0ken", "env:COOKIE": "sid=1", "env:OTHER": "other", "env:ODD": "é"}


def read(reference: str) -> str:
    if reference not in SECRETS:
        raise UsageError("the environment variable NONE is not set: it should hold a secret")
    return SECRETS[reference]


def session(sites: dict[str, dict[str, Any]], **others: Any) -> Session:
    settings = msgspec.convert({"sites": sites, **others}, FetchSettings)
    made = make_session(settings, now=lambda: 0.0, read=read)
    assert made is not None
    return made


def header_goes(pattern: str, url: str) -> bool:
    return session({pattern: {"headers": {"X-A": "1"}}}).fields(url) == b"X-A: 1\r\n"


def secret_goes(pattern: str, url: str) -> bool:
    return session({pattern: {"bearer": "env:TOKEN"}}).fields(url) == b"Authorization: Bearer t0ken\r\n"


@pytest.mark.parametrize(
    ("pattern", "url", "header", "secret"),
    [
        ("example.org", "https://example.org/", True, True),
        ("example.org", "http://example.org/x?y", True, False),
        ("example.org", "https://example.org:8443/", True, False),
        ("example.org", "https://www.example.org/", False, False),
        ("example.org", "https://badexample.org/", False, False),
        ("example.org", "https://example.org.evil.com/", False, False),
        ("EXAMPLE.org.", "https://example.org/", True, True),
        ("bücher.de", "https://xn--bcher-kva.de/", True, True),
        ("example.org:8443", "https://example.org:8443/", True, True),
        ("example.org:8443", "http://example.org:8443/", True, False),
        ("example.org:8443", "https://example.org/", False, False),
        ("https://example.org", "https://example.org/", True, True),
        ("https://example.org/", "https://example.org/deep", True, True),
        ("https://example.org", "http://example.org/", False, False),
        ("https://example.org", "https://example.org:444/", False, False),
        ("http://example.org", "http://example.org/", True, True),
        ("http://example.org", "https://example.org/", False, False),
        ("HTTP://example.org:80", "http://example.org/", True, True),
        ("http://example.org:8000", "http://example.org:8000/", True, True),
        ("http://example.org:8000", "http://example.org/", False, False),
        ("*.example.org", "https://a.example.org/", True, True),
        ("*.example.org", "https://a.b.example.org/", True, True),
        ("*.example.org", "https://example.org/", False, False),
        ("*.example.org", "https://aexample.org/", False, False),
        ("*.example.org", "http://a.example.org/", True, False),
        ("https://*.example.org:8443", "https://a.example.org:8443/", True, True),
        ("https://*.example.org:8443", "https://a.example.org/", False, False),
        ("127.0.0.1", "https://127.0.0.1/", True, True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/", True, True),
        ("[::1]:8000", "https://[::1]:8000/", True, True),
        ("http://[0:0::1]", "http://[::1]/", True, True),
    ],
)
def test_where_headers_and_secrets_go(pattern: str, url: str, header: bool, secret: bool) -> None:
    assert header_goes(pattern, url) is header
    assert secret_goes(pattern, url) is secret


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "*.",
        "ex*mple.org",
        "*.*.org",
        "a b",
        "ftp://example.org",
        "https://",
        "https://example.org/path",
        "example.org?x",
        "u@h.org",
        "https://u:secret@h.org",
        "example.org:0",
        "example.org:65536",
        "example.org:x",
        "*.127.0.0.1",
        "*.[::1]",
        "a\nb",
        "256.1.1.1",
        "[::g]",
    ],
)
def test_what_is_no_pattern_is_named_by_its_key(pattern: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        session({pattern: {"headers": {"X-A": "1"}}})
    assert str(caught.value).startswith('fetch.sites."')
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("site", "complaint"),
    [
        ({"user": "ann"}, '"h.org".user: needs password, too'),
        ({"password": "env:PASSWORD"}, '"h.org".password: needs user, too'),
        ({"user": "a:b", "password": "env:PASSWORD"}, '"h.org".user: a user name has no colon'),
        ({"user": "a\nb", "password": "env:PASSWORD"}, '"h.org".user: a user name has'),
        ({"user": "a", "password": "swordfish"}, '"h.org".password: a secret is named, not written'),
        ({"user": "a", "password": "env:NONE"}, '"h.org".password: the environment variable NONE is not set'),
        ({"bearer": "swordfish"}, '"h.org".bearer: a secret is named, not written'),
        ({"bearer": "env:ODD"}, '"h.org".bearer: the token has'),
        ({"bearer": "env:TOKEN", "user": "a", "password": "env:PASSWORD"}, '"h.org".bearer: stands beside user'),
        ({"bearer": "env:TOKEN", "headers": {"authorization": "env:OTHER"}}, '"h.org".headers.Authorization: is set by'),
        ({"headers": {"Authorization": "swordfish"}}, '"h.org".headers.Authorization: a secret is named, not written'),
        ({"headers": {"Cookie": "swordfish"}}, '"h.org".headers.Cookie: a secret is named, not written'),
        ({"headers": {"Cookie": "env:ODD"}}, '"h.org".headers.Cookie: the value has'),
        ({"headers": {"Host": "x"}}, '"h.org".headers.Host: is set by the crawler itself'),
        ({"headers": {"User-Agent": "x"}}, '"h.org".headers.User-Agent: use --user-agent'),
        ({"headers": {"If-None-Match": "x"}}, '"h.org".headers.If-None-Match: belongs to one URL'),
        ({"headers": {"X A": "x"}}, "is not a header's name"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, '"h.org".headers.X-A: the value has'),
        ({"headers": {"X-A": "1", "x-a": "2"}}, '"h.org".headers.x-a: is given twice'),
    ],
)
def test_what_cannot_be_sent_is_named_by_its_key_and_no_secret_shown(site: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        session({"h.org": site})
    assert complaint in str(caught.value)
    assert not [secret for secret in ("swordfish", *SECRETS.values()) if secret in str(caught.value)]


@pytest.mark.parametrize("name", sorted(MANAGED_HEADERS))
def test_what_belongs_to_the_connection_is_nobodys_to_set(name: str) -> None:
    assert field_problem(name.title(), "x")


def test_credentials_are_written_as_their_rfcs_say() -> None:
    made = session({"a.org": {"user": "Aladdin", "password": "env:OTHER"}, "b.org": {"user": "ann", "password": "env:PASSWORD"}})
    assert made.fields("https://a.org/") == b"Authorization: Basic QWxhZGRpbjpvdGhlcg==\r\n"
    assert made.fields("https://b.org/") == b"Authorization: Basic YW5uOnBhOnNzIHfDtnJk\r\n"  # UTF-8, and the colon is the password's
    assert made.fields("https://c.org/") == b""


def test_the_most_specific_pattern_wins_and_headers_add_up() -> None:
    made = session(
        {
            "http://a.b.org:80": {"headers": {"X": "origin"}},
            "a.b.org:8000": {"headers": {"X": "port"}},
            "a.b.org": {"headers": {"X": "host", "Host-Only": "1"}, "bearer": "env:OTHER"},
            "*.b.org": {"headers": {"x": "below", "Below": "1"}, "bearer": "env:TOKEN"},
            "*.org": {"headers": {"X": "org", "Org": "1"}},
        }
    )

    def lines(url: str) -> set[str]:
        return set(made.fields(url).decode().lower().split("\r\n")) - {""}

    assert lines("http://x.org/") == {"x: org", "org: 1"}
    assert lines("https://c.b.org/") == {"x: below", "org: 1", "below: 1", "authorization: bearer t0ken"}
    assert lines("https://a.b.org/") == {"x: host", "org: 1", "below: 1", "host-only: 1", "authorization: bearer other"}
    assert lines("http://a.b.org:8000/") == {"x: port", "org: 1", "below: 1", "host-only: 1"}
    assert lines("http://a.b.org/") == {"x: origin", "org: 1", "below: 1", "host-only: 1"}


def test_a_header_of_all_requests_is_sent_once_replaced_for_the_site_alone() -> None:
    made = session({"a.org": {"headers": {"accept-language": "de", "Accept": "text/plain"}}})
    headers = Headers({"Accept-Language": ["en"], "Accept": ["*/*"], "X-Else": ["1"]})
    made.take_over(headers)
    assert dict(headers.getAllRawHeaders()) == {b"X-Else": [b"1"]}
    assert set(made.fields("https://a.org/").split(b"\r\n")) == {b"accept-language: de", b"Accept: text/plain", b""}
    assert set(made.fields("https://b.org/").split(b"\r\n")) == {b"Accept-Language: en", b"Accept: */*", b""}


def test_a_cookie_given_for_a_site_and_those_it_sets_are_one_field() -> None:
    made = session({"a.org": {"headers": {"Cookie": "env:COOKIE"}}}, cookies=True)
    made.learn("https://a.org/", [("set-cookie", "a=1"), ("x", "y"), ("set-cookie", "b=2; Path=/x")])
    made.learn("https://b.org/", [("set-cookie", "c=3")])
    assert made.fields("https://a.org/x") == b"Cookie: sid=1; b=2; a=1\r\n"
    assert made.fields("http://a.org/") == b"Cookie: a=1\r\n"
    assert made.fields("https://b.org/") == b"Cookie: c=3\r\n"


def test_cookies_are_off_until_they_are_asked_for(tmp_path: Path) -> None:
    made = session({"a.org": {"headers": {"X": "1"}}})
    made.learn("https://b.org/", [("set-cookie", "c=3")])
    assert made.fields("https://b.org/") == b""
    assert make_session(FetchSettings(), now=lambda: 0.0) is None
    assert make_session(FetchSettings(cookies=True), now=lambda: 0.0) is not None
    file = tmp_path / "cookies.txt"
    file.write_text("b.org\tFALSE\t/\tFALSE\t0\tc\t3\n")
    assert session({}, cookie_file=str(file)).fields("https://b.org/") == b"Cookie: c=3\r\n"


@pytest.mark.parametrize(
    ("pattern", "seed", "told"),
    [
        ("a.org", "http://a.org/x", ["http://a.org/ would be asked without the credentials of 'a.org'", "unencrypted"]),
        ("a.org", "https://a.org:8443/", ["write the pattern 'https://a.org:8443'"]),
        ("*.a.org", "http://b.a.org/", ["write the pattern 'http://b.a.org'"]),
        ("a.org", "https://a.org/", []),
        ("http://a.org", "https://a.org/", []),  # as it was asked for
        ("a.org", "http://b.org/", []),
    ],
)
def test_a_seed_that_would_not_get_its_credentials_is_told(pattern: str, seed: str, told: list[str]) -> None:
    found = session({pattern: {"bearer": "env:TOKEN"}}).withheld(seed)
    assert bool(found) is bool(told)
    assert all(part in (found or "") for part in told)


def test_a_seed_that_gets_others_credentials_is_not_told() -> None:
    sites = {"*.org": {"bearer": "env:TOKEN"}, "http://a.org": {"bearer": "env:OTHER"}}
    assert session(sites).withheld("http://a.org/") is None


def test_nothing_that_is_shown_holds_a_secret() -> None:
    made = session({"a.org": {"user": "ann", "password": "env:OTHER"}})
    assert "other" not in f"{made!r} {vars(made)!r} {made.withheld('http://a.org/')}"


@pytest.mark.parametrize(
    ("conditional", "lines"),
    [
        (Conditional(), b""),
        (Conditional(etag='"33a6"'), b'If-None-Match: "33a6"\r\n'),
        (Conditional(etag='W/""'), b'If-None-Match: W/""\r\n'),
        (Conditional(last_modified="Wed, 21 Oct 2015 07:28:00 GMT"), b"If-Modified-Since: Wed, 21 Oct 2015 07:28:00 GMT\r\n"),
        (
            Conditional('"a"', "Wed, 21 Oct 2015 07:28:00 GMT"),
            b'If-None-Match: "a"\r\nIf-Modified-Since: Wed, 21 Oct 2015 07:28:00 GMT\r\n',
        ),
    ],
)
def test_validators_become_fields(conditional: Conditional, lines: bytes) -> None:
    assert conditional_fields(conditional) == lines


@pytest.mark.parametrize(
    "etag", ["", "a", '"a', 'a"', '"a"b"', '"a b"', '"a"\r\nX: y', 'w/"a"', '"é"', '"a", "b"', "*", '"' + "x" * 2000 + '"']
)
def test_what_is_no_entity_tag_is_refused(etag: str) -> None:
    with pytest.raises(ValueError, match="etag: not an entity tag"):
        conditional_fields(Conditional(etag=etag))


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Wed, 21 Oct 2015 07:28:00 GMT\r\nX: y", "é", "Wed, 99 Oct 2015 07:28:00 GMT", "9" * 200]
)
def test_what_is_no_date_is_refused(date: str) -> None:
    with pytest.raises(ValueError, match="last_modified: not a date"):
        conditional_fields(Conditional(last_modified=date))
