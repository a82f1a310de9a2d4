"""Targets: what is remembered of an origin says the same as working it out anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import url as urls
from crawler.config import FetchSettings
from crawler.fetch.endpoint import target_of
from crawler.fetch.proxy import read_proxies
from crawler.fetch.targets import MAX_TARGETS, Targets

AUTHORITIES = [
    "a.test",
    "A.Test",
    "a.test:80",
    "a.test:8080",
    "a.test.",
    "127.1",
    "0x7f.0.0.1",
    "[::1]",
    "user@a.test",
    "a..test",
    "",
    "a.test:99999",
]
PIECES = st.sampled_from(
    ["/", ".", "..", "a", "B~_-", "%7e", "%2f", "?", "utm_source=1", "q=1", "#", "\\", " ", "é", "//", "...", ".a", "a.", "x" * 700]
)


@given(st.sampled_from(["http", "https", "HTTP", "ftp"]), st.sampled_from(AUTHORITIES), st.lists(PIECES, max_size=6))
def test_a_url_is_found_as_it_is_canonicalised(scheme: str, authority: str, pieces: list[str]) -> None:
    uri = f"{scheme}://{authority}{''.join(pieces)}"
    targets, expected = Targets(), urls.canonicalise(uri, exact=True)
    for _ in range(2):  # worked out, then remembered
        assert targets.find(uri) == (None if expected is None else (expected, target_of(expected)))


def test_spellings_of_one_origin_have_one_target() -> None:
    targets = Targets()
    found = {targets.find(uri) for uri in ("http://a.test/x", "http://A.test:80/x", "http://a.test./x")}
    assert found == {("http://a.test/x", targets.of("http://a.test/x"))}


@pytest.mark.parametrize(("url", "name"), [("http://a.test/x", "http://a.test via "), ("http://direct.test/x", "http://direct.test")])
def test_proxies_are_remembered_by_origin(url: str, name: str) -> None:
    targets = Targets(read_proxies(FetchSettings(proxies={"http": "http://proxy.test:3128"}, no_proxy=["direct.test"])))
    found = [targets.of(url), targets.of(url)]
    assert found[0] is found[1]
    assert found[0].key.startswith(name)
    assert (found[0].proxy is None) is ("direct" in url)


def test_what_is_remembered_is_bounded() -> None:
    targets = Targets()
    first = targets.of("http://host-0.test/")
    for number in range(1, MAX_TARGETS):
        targets.of(f"http://host-{number}.test/")
    assert targets.of("http://host-0.test/") is first
    targets.of("http://one-more.test/")
    assert targets.of("http://host-0.test/") is not first
