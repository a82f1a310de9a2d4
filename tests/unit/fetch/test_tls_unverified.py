"""Which hosts an ``insecure`` pattern means."""

from __future__ import annotations

import pytest

from crawler.fetch.unverified import Unverified, parse_host_pattern


@pytest.mark.parametrize(
    ("pattern", "host", "port", "matches"),
    [
        ("a.test", "a.test", 443, True),
        ("a.test", "a.test", 8443, True),
        ("A.TEST", "a.test", 443, True),
        ("a.test.", "a.test", 443, True),
        ("a.test", "www.a.test", 443, False),
        ("a.test", "ba.test", 443, False),
        ("a.test", "a.test.evil.test", 443, False),
        ("*.a.test", "www.a.test", 443, True),
        ("*.a.test", "x.y.a.test", 443, True),
        ("*.a.test", "a.test", 443, False),
        ("*.a.test", "xa.test", 443, False),
        ("a.test:8443", "a.test", 8443, True),
        ("a.test:8443", "a.test", 443, False),
        ("a.test:443", "a.test", 443, True),
        ("a.test:443", "a.test", 8443, False),
        ("*.a.test:8443", "www.a.test", 8443, True),
        ("*.a.test:8443", "www.a.test", 443, False),
        ("a_b.test", "a_b.test", 443, True),
        ("bücher.test", "xn--bcher-kva.test", 443, True),
        ("127.0.0.1", "127.0.0.1", 443, True),
        ("127.0.0.1", "127.0.0.11", 443, False),
        ("127.0.0.1:8443", "127.0.0.1", 8443, True),
        ("2130706433", "127.0.0.1", 443, True),
        ("::1", "[::1]", 443, True),
        ("[::1]", "[::1]", 443, True),
        ("[0:0::1]:8443", "[::1]", 8443, True),
        ("[::1]:8443", "[::1]", 443, False),
        ("*", "a.test", 443, True),
        ("*", "[::1]", 8443, True),
        ("*:8443", "a.test", 8443, True),
        ("*:8443", "a.test", 443, False),
    ],
)
def test_a_pattern(pattern: str, host: str, port: int, matches: bool) -> None:
    assert Unverified([pattern]).matches(host, port) is matches


def test_any_of_several_patterns() -> None:
    unverified = Unverified(["a.test", "b.test:8443"])
    assert [unverified.matches(host, 8443) for host in ("a.test", "b.test", "c.test")] == [True, True, False]
    assert not Unverified([]).matches("a.test", 443)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "https://a.test",
        "a.test/path",
        "user@a.test",
        "a.*.test",
        "a*.test",
        "**.test",
        "*.*.test",
        "*a.test",
        "*.",
        "*.127.0.0.1",
        "a.test:0",
        "a.test:65536",
        "a.test:",
        "a.test:https",
        "::1:8443:",
        "[::1",
        "a b.test",
        "a.test,b.test",
        "a.test?x",
    ],
)
def test_what_is_no_host_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"write a host as in test\.example\.org"):
        parse_host_pattern(text)
