from __future__ import annotations

import time

import pytest

from crawler.parse import anchors
from crawler.parse.anchors import anchors_and_fragments

PAGE = "http://h.test/a/page.html"


def of(html: str, base: str = PAGE) -> tuple[list[str] | None, list[str]]:
    return anchors_and_fragments(html.encode(), PAGE, base)


def test_ids_of_any_element_and_names_of_a_elements() -> None:
    html = (
        '<h1 id=one>x</h1><a name="two">y</a><a id=three name=four></a><form name=no><input name=no id="fi ve"></form><a name="">'
        '<p id=""></p><svg><g id="six"/></svg><p id=one><p id=caf&eacute;><map name=no></map>'
    )
    assert of(html)[0] == ["one", "two", "three", "four", "fi ve", "six", "café"]


@pytest.mark.parametrize(
    ("href", "fragment"),
    [
        ("#one", f"{PAGE}#one"),
        ("other.html#two", "http://h.test/a/other.html#two"),
        ("../b/?q=1#x", "http://h.test/b/?q=1#x"),
        ("HTTP://Other.test#x", "http://other.test/#x"),
        (" #ca%66%C3%A9 \n", f"{PAGE}#ca%66%C3%A9"),
        ("#a\tb", f"{PAGE}#ab"),  # a URL has no tabs and newlines
        ("#a#b", f"{PAGE}#a#b"),
        ("#one:~:text=word", f"{PAGE}#one"),
        ("#topmost", f"{PAGE}#topmost"),
        ("#", None),
        ("#top", None),
        ("#Top", None),
        ("#:~:text=word", None),
        ("page.html", None),
        ("javascript:void(0)#x", None),
        ("mailto:a@b#x", None),
        ("http://[#x", None),
        ("#" + "x" * 2000, None),
    ],
)
def test_links_with_a_fragment(href: str, fragment: str | None) -> None:
    assert of(f'<a href="{href}">x</a>')[1] == ([fragment] if fragment else [])


def test_links_count_once_and_are_resolved_against_the_base() -> None:
    html = '<a href="#x">1</a><a href="#x">2</a><a href=" #x">3</a><map><area href="y#z"></map>'
    assert of(html, "http://h.test/else/") == ([], ["http://h.test/else/#x", "http://h.test/else/y#z"])


def test_too_many_anchors_are_none_rather_than_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchors, "MAX_ANCHORS", 9)
    assert of("<p id=a><p id=bb><p id=ccc>")[0] == ["a", "bb", "ccc"]
    assert of("<p id=a><p id=bb><p id=ccc><p id=d>")[0] is None


def test_links_beyond_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchors, "MAX_FRAGMENTS", 3 * len(f"{PAGE}#1"))
    assert len(of("".join(f"<a href='#{n}'>" for n in range(9)))[1]) == 3


def test_time_is_linear() -> None:
    started = time.process_time()
    found, links = of("".join(f"<i id={n}></i><a href=#{n}>x</a>" for n in range(20_000)))
    assert found is not None
    assert (len(found), len(links)) == (20_000, 20_000)
    assert time.process_time() - started < 3
