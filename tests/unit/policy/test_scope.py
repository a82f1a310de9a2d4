from __future__ import annotations

import pytest

from crawler.config import ScopeSettings
from crawler.policy.scope import Scope


def scope(seed: str | list[str], **settings: object) -> Scope:
    return Scope([seed] if isinstance(seed, str) else seed, ScopeSettings(**settings))


@pytest.mark.parametrize(
    ("kind", "seed", "url", "refused"),
    [
        ("host", "https://example.com/", "https://example.com/a?b=c", None),
        ("host", "http://example.com/", "https://example.com/a", None),
        ("host", "https://example.com/", "http://example.com/", None),
        ("host", "http://example.com/", "http://example.com:443/", None),
        ("host", "http://example.com/", "http://example.com:8080/", "scope:host"),
        ("host", "http://example.com:8080/", "http://example.com/", "scope:host"),
        ("host", "http://example.com:8080/", "https://example.com:8080/", None),
        ("host", "https://example.com/", "https://www.example.com/", "scope:host"),
        ("host", "https://example.com/", "https://example.com.evil.test/", "scope:host"),
        ("host", "https://example.com/", "https://example.co/", "scope:host"),
        ("host", "http://[::1]:8000/", "http://[::1]:8000/x", None),
        ("host", "http://[::1]:8000/", "http://[::1]/x", "scope:host"),
        ("domain", "https://www.example.co.uk/", "http://shop.example.co.uk:8080/", None),
        ("domain", "https://www.example.co.uk/", "https://other.co.uk/", "scope:domain"),
        ("domain", "https://me.github.io/", "https://you.github.io/", "scope:domain"),
        ("domain", "https://me.github.io/", "https://deep.me.github.io/", None),
        ("domain", "https://github.io/", "https://you.github.io/", "scope:domain"),
        ("domain", "http://127.0.0.1/", "http://127.0.0.1:81/", None),
        ("domain", "http://127.0.0.1/", "http://9.0.0.1/", "scope:domain"),
        ("domain", "http://[2001:db8::1]/", "http://[2001:db8::1]:81/", None),
        ("domain", "http://[2001:db8::1]/", "http://[2001:db8::2]/", "scope:domain"),
        ("domain", "http://localhost/", "http://localhost:8000/", None),
        ("domain", "http://a.intranet/", "http://b.intranet/", "scope:domain"),
        ("domain", "http://xn--bcher-kva.example/", "http://www.xn--bcher-kva.example/", None),
        ("prefix", "https://h.test/docs/index.html", "https://h.test/docs/a/b", None),
        ("prefix", "https://h.test/docs/index.html", "http://h.test/docs/", None),
        ("prefix", "https://h.test/docs/index.html", "https://h.test/documents", "scope:prefix"),
        ("prefix", "https://h.test/docs", "https://h.test/other", None),
        ("prefix", "https://h.test/docs/?next=/x/y", "https://h.test/docs/z", None),
        ("prefix", "https://h.test/docs/", "https://h.test/?q=/docs/", "scope:prefix"),
        ("prefix", "https://h.test/docs/", "https://h.test:8443/docs/", "scope:prefix"),
        ("any", "https://example.com/", "http://elsewhere.test/", None),
    ],
)
def test_site(kind: str, seed: str, url: str, refused: str | None) -> None:
    assert scope(seed, scope=kind).refusal(url) == refused


@pytest.mark.parametrize(
    ("settings", "url", "refused"),
    [
        ({"exclude": [r"\.pdf$"]}, "http://h.test/a.pdf", r"exclude:\.pdf$"),
        ({"exclude": [r"\.pdf$"]}, "http://h.test/a.pdf?x", None),
        ({"exclude": ["/a", "/b"]}, "http://h.test/b/a", "exclude:/a"),
        ({"include": ["/docs/"]}, "http://h.test/docs/x", None),
        ({"include": ["/docs/", "/api/"]}, "http://h.test/api/x", None),
        ({"include": ["/docs/"]}, "http://h.test/blog/x", "include"),
        ({"include": ["/docs/"]}, "http://h.test/", None),  # the seed
        ({"include": ["/docs/"], "exclude": ["draft"]}, "http://h.test/docs/draft", "exclude:draft"),
        ({"exclude": ["^http://h.test/$"]}, "http://h.test/", "exclude:^http://h.test/$"),  # the seed too
        ({"include": ["x"], "exclude": ["x"]}, "http://other.test/x", "scope:host"),  # the site is asked first
    ],
)
def test_patterns(settings: dict[str, object], url: str, refused: str | None) -> None:
    assert scope("http://h.test/", **settings).refusal(url) == refused


def test_every_seed_counts() -> None:
    both = scope(["http://a.test/", "http://b.test:81/"])
    assert both.refusal("http://a.test/x") is None
    assert both.refusal("http://b.test:81/x") is None
    assert both.refusal("http://b.test/x") == "scope:host"


@pytest.mark.parametrize("kind", ["host", "domain", "prefix"])
def test_extend_adds_a_site(kind: str) -> None:
    extended = scope("http://one.test/docs/", scope=kind)
    assert extended.refusal("https://two.test/docs/a") == f"scope:{kind}"
    extended.extend("https://two.test/docs/")
    assert extended.refusal("https://two.test/docs/a") is None
    assert extended.refusal("http://one.test/docs/a") is None
    assert extended.is_seed("https://two.test/docs/")
    assert not extended.is_seed("https://two.test/docs/a")


def test_extend_does_not_widen_a_prefix_on_its_own_ground() -> None:
    docs = scope("http://one.test/docs/", scope="prefix")
    docs.extend("https://one.test/login")
    assert docs.refusal("http://one.test/blog/") == "scope:prefix"
    docs.extend("https://one.test/manual/")
    assert docs.refusal("http://one.test/manual/a") is None
