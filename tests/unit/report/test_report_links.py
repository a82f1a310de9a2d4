from __future__ import annotations

import random

import pytest
from making_records import ORIGIN, failed, record, redirected, urls

from crawler.model import Outcome, Reason, Record, Via
from crawler.report import links
from crawler.report.links import by_page, find_broken
from crawler.report.wording import why


def found(records: list[Record], **options: object) -> dict[str, tuple[str, list[str]]]:
    """Return the broken links by path, each with its reason and pages; the order of records is made to have no say."""
    results = []
    for seed in range(3):
        shuffled = random.Random(seed).sample(records, len(records))
        broken = find_broken(lambda order=shuffled: iter(order), **options).broken  # type: ignore[misc,arg-type]
        results.append({link.url.removeprefix(ORIGIN): (link.reason, sorted(link.pages)) for link in broken})
    assert results[0] == results[1] == results[2]
    return results[0]


def test_links_to_what_failed_with_every_page() -> None:
    pages = [record("/a", links=urls("/gone", "/b")), record("/b", links=urls("/gone", "/down"))]
    ends = [failed("/gone"), failed("/down", Reason.CONNECT, status=None, detail="refused")]
    assert found([*pages, *ends]) == {"/gone": ("http_error", urls("/a", "/b")), "/down": ("connect", urls("/b"))}


@pytest.mark.parametrize("reason", [Reason.TOO_LARGE, Reason.PARSE, Reason.INTERNAL])
def test_failures_of_ours_are_no_broken_links(reason: Reason) -> None:
    result = find_broken(lambda: [record("/a", links=urls("/x")), failed("/x", reason)])
    assert (result.broken, result.not_checked) == ([], {reason: 1})


def test_what_was_not_asked_for_is_told_apart() -> None:
    denied = failed("/private", Reason.ROBOTS, outcome=Outcome.DENIED, status=None)
    result = find_broken(lambda: [record("/a", links=urls("/private")), denied])
    assert (result.broken, result.not_checked) == ([], {"robots": 1})


def test_redirects_are_followed_to_their_end() -> None:
    pages = [record("/a", links=urls("/one", "/circle", "/fine", "/long0")), record("/fine2")]
    chain = [redirected("/one", "/two"), redirected("/two", "/gone"), failed("/gone", via=Via.REDIRECT, referrer=f"{ORIGIN}/two")]
    circle = [redirected("/circle", "/round"), redirected("/round", "/circle", via=Via.REDIRECT, referrer=f"{ORIGIN}/circle")]
    long = [redirected(f"/long{n}", f"/long{n + 1}", via=Via.REDIRECT, referrer=f"{ORIGIN}/long{n - 1}") for n in range(1, 12)]
    records = [*pages, *chain, *circle, redirected("/long0", "/long1"), *long, redirected("/fine", "/fine2")]
    assert found(records, max_redirects=10) == {
        "/one": ("http_error", urls("/a")),
        "/two": ("http_error", []),
        "/circle": ("redirect_loop", urls("/a")),
        "/long0": ("redirect_loop", urls("/a")),
    }
    [one] = [link for link in find_broken(lambda: records).broken if link.url.endswith("/one")]
    assert why(one) == f"redirects to {ORIGIN}/gone: status 404 Not Found"


def test_without_links_the_referrer_is_told() -> None:
    result = find_broken(lambda: [failed("/gone", referrer=f"{ORIGIN}/a"), failed("/seed", via=Via.SEED)])
    assert {link.url: link.pages for link in result.broken} == {f"{ORIGIN}/gone": urls("/a"), f"{ORIGIN}/seed": []}
    assert result.all_pages is False
    assert list(by_page(result)) == ["", f"{ORIGIN}/a"]


def test_fragments() -> None:
    wanted = urls("/b#one", "/b#caf%C3%A9", "/b#café", "/b#no", "/b#%FF", "/b#/route", "/b#!route", "/moved#one", "/moved#no")
    pages = [
        record("/a", links=[], fragments=[*wanted, *urls("/pdf#page=2", "/gone#x", "/elsewhere#x")], anchors=[]),
        record("/c", links=[], fragments=urls("/b#no", "/c#own"), anchors=["own"]),
        record("/b", links=[], fragments=[], anchors=["one", "café"]),
        record("/pdf", content_type="application/pdf"),
        redirected("/moved", "/b"),
        failed("/gone"),
    ]
    assert found(pages) == {
        "/b#no": ("fragment", urls("/a", "/c")),
        "/b#%FF": ("fragment", urls("/a")),
        "/moved#no": ("fragment", urls("/a")),
        "/gone": ("http_error", []),
    }
    assert found(pages, fragments=False) == {"/gone": ("http_error", [])}


def test_what_is_kept_in_mind_has_limits_and_counting_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_FAILED", 2)
    monkeypatch.setattr(links, "MAX_WANTED", 2)
    monkeypatch.setattr(links, "MAX_PLACES", 3)
    gone = urls("/x0", "/x1", "/x2")
    pages = [record(f"/p{n}", links=gone, fragments=urls("/p0#a", "/p0#b", "/p0#c"), anchors=["a"]) for n in range(4)]
    result = find_broken(lambda: [*(failed(f"/x{n}") for n in range(3)), *pages])
    assert len(result.broken) == 2
    assert result.broken_count == 4, "one URL that failed, and one fragment, are counted only"
    assert sum(len(link.pages) for link in result.broken) == 3
    assert {link.page_count for link in result.broken} == {4}
    assert result.fragments_unchecked == 4
