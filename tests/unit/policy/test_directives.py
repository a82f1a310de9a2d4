from __future__ import annotations

import pytest

from crawler.policy.directives import MAX_DIRECTIVES, combine, follows, header_directives, meta_directives


@pytest.mark.parametrize(
    ("values", "directives"),
    [
        ([], []),
        ([""], []),
        (["noindex"], ["noindex"]),
        (["NoIndex , NOFOLLOW"], ["noindex", "nofollow"]),
        (["noindex", "nofollow", "noindex"], ["noindex", "nofollow"]),
        (["otherbot: noindex, nofollow"], []),
        (["crawl: noindex, nofollow"], ["noindex", "nofollow"]),
        (["CRAWL: noindex"], ["noindex"]),
        (["*: noindex"], ["noindex"]),
        (["otherbot: noindex", "nofollow"], ["nofollow"]),  # a name holds for its own header
        (["noarchive, otherbot: noindex, crawl: nofollow"], ["noarchive", "nofollow"]),
        (["crawler: noindex"], []),  # another name that begins like ours
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], ["unavailable_after: 25 jun 2010 15:00:00 pst"]),
        (
            ["unavailable_after: Friday, 25-Jun-10 15:00:00 PST, nofollow"],
            ["unavailable_after: friday, 25-jun-10 15:00:00 pst", "nofollow"],
        ),
        (["otherbot: unavailable_after: Fri, 25 Jun 2010 15:00:00 GMT, none"], []),
        (["crawl: unavailable_after: Fri, 25 Jun 2010 15:00:00 GMT"], ["unavailable_after: fri, 25 jun 2010 15:00:00 gmt"]),
        (["unavailable_after: Friday"], ["unavailable_after: friday"]),
        (["max-snippet:-1, max-image-preview: large"], ["max-snippet:-1", "max-image-preview: large"]),
        ([",,, ,noindex,"], ["noindex"]),
        ([": nofollow"], ["nofollow"]),
    ],
)
def test_header(values: list[str], directives: list[str]) -> None:
    assert header_directives(values, "Crawl") == directives


def test_meta_and_combine() -> None:
    assert meta_directives(" NOINDEX,nofollow ,noindex") == ["noindex", "nofollow"]
    assert combine(["noindex", "none"], ["noindex", "noarchive"]) == ["noindex", "none", "noarchive"]


def test_bounded() -> None:
    assert len(header_directives([f"d{n}" for n in range(1000)], "crawl")) == MAX_DIRECTIVES
    assert header_directives(["x" * 10_000_000], "crawl") == ["x" * 4096]


@pytest.mark.parametrize(
    ("directives", "may"),
    [([], True), (["noindex"], True), (["nofollow"], False), (["none"], False), (["noindex", "nofollow"], False), (["follow"], True)],
)
def test_follows(directives: list[str], may: bool) -> None:
    assert follows(directives) is may
