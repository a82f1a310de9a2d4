"""The batch mode's pages and the records made of them."""

from __future__ import annotations

import pytest

from crawler.batch import Page, record_of
from crawler.batch.page import Hop, bad_url
from crawler.model import Outcome, Reason, Via


def page(**values: object) -> Page:
    return Page(**{"url": "http://a/", "final_url": "http://a/", "outcome": Outcome.FETCHED} | values)


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        (b"gr\xfc\xdfe", "windows-1252", "grüße"),
        ("grüße".encode(), "UTF-8", "grüße"),
        ("grüße".encode(), None, "grüße"),
        (b"a\xffb", "UTF-8", "a\N{REPLACEMENT CHARACTER}b"),
        (b"", None, ""),
    ],
)
def test_text_is_the_body_in_its_charset(body, charset, text):
    assert page(body=body, charset=charset).text == text


def test_a_header_is_found_in_any_case():
    got = page(headers=[("x-a", "1"), ("x-a", "2")])
    assert got.header("X-A") == "1"
    assert got.header("missing") is None


def test_the_record_of_a_redirected_page_names_the_url_asked_and_the_last_one():
    hops = [Hop("http://a/", 301), Hop("http://b/", 302)]
    record = record_of(page(final_url="http://c/", redirects=hops, attempts=3, started_at=0.5, elapsed=0.25, size=7, status=200))
    assert (record.url, record.redirect_to, record.outcome, record.attempts) == ("http://a/", "http://c/", Outcome.FETCHED, 3)
    assert (record.fetched_at, record.elapsed_ms, record.bytes) == ("1970-01-01T00:00:00.500Z", 250, 7)
    assert (record.via, record.depth, record.headers, record.links) == (Via.SEED, 0, None, None)


def test_headers_and_links_are_recorded_when_asked_for():
    got = page(status=200, headers=[("vary", "a"), ("etag", "x"), ("vary", "b")], links=["http://a/1"])
    record = record_of(got, headers=True, links=True)
    assert record.headers == {"vary": "a, b", "etag": "x"}
    assert record.links == ["http://a/1"]


def test_what_is_no_url_is_answered_without_its_password():
    got = bad_url(" ftp://me:secret@host/x\udcff ", "scheme")
    assert (got.outcome, got.reason, got.ok) == (Outcome.FAILED, Reason.BAD_URL, False)
    assert "secret" not in got.url
    assert got.url.encode().endswith(b"host/x\\udcff")
