"""Selectors and hooks checked before anything is fetched, each mistake by its key path; once as the process that it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.cli.selectors import check_selectors
from crawler.extract.rules import Extraction, Field, FollowRule, ItemRule
from crawler.offline.check_selectors import problems


def told(extraction: Extraction) -> dict[str, str]:
    return {problem.path: problem.message for problem in problems(extraction)}


def of_field(field: Field | str) -> Extraction:
    return Extraction({"book": ItemRule({"title": field})})


RIGHT = Field(xpath="(//a | //b)[position() mod (2) = 1 and (contains(., 'no-such(x)'))]/following-sibling::p/text()")


@pytest.mark.parametrize(
    "field", ["h1", "a:not(.x) > b::text", "//a[re:test(@href, 'x')]", Field(xpath="//p[has-class('a')]"), "@id", RIGHT]
)
def test_selectors_that_are_right(field: Field | str) -> None:
    assert told(of_field(field)) == {}


@pytest.mark.parametrize(
    ("field", "path", "said"),
    [
        ("h1[", "extract.book.fields.title", "count its brackets: 1 [ and 0 ]"),
        (Field(css="a@href"), "extract.book.fields.title.css", 'the attribute stands apart: css = "a", attribute = "href"'),
        (Field(css="a:visible"), "extract.book.fields.title.css", "known are :not() :is()"),
        (Field(css="a >"), "extract.book.fields.title.css", "'crawl shell URL' is a place to try selectors"),
        (Field(xpath="//a[text()='x]"), "extract.book.fields.title.xpath", "close its quotes"),
        (Field(xpath="//a[lower-case(.)]"), "extract.book.fields.title.xpath", "known are the functions of XPath 1.0"),
        (Field(xpath="//x:a"), "extract.book.fields.title.xpath", "HTML has no namespaces"),
        (Field(css="li", fields={"n": Field(css="::")}), "extract.book.fields.title.fields.n.css", "is not CSS that is known here"),
    ],
)
def test_a_selector_that_is_none(field: Field | str, path: str, said: str) -> None:
    found = told(of_field(field))
    assert list(found) == [path]
    assert said in found[path]


def test_each_and_follow_rules_are_looked_into(tmp_path: Path) -> None:
    extraction = Extraction({"book": ItemRule({"t": "h1"}, each="li[")}, [FollowRule(css="a"), FollowRule(xpath="//[")])
    assert list(told(extraction)) == ["extract.book.each", "follow[1].xpath"]


def test_the_process_says_the_same_and_loads_the_hook(tmp_path: Path) -> None:
    hook = tmp_path / "hooks.py"
    hook.write_text("import os\nraise ValueError('not today')\n")
    found = check_selectors(Extraction({"book": ItemRule({"t": "h1["})}, hook=str(hook)))
    assert [problem.path for problem in found] == ["extract.book.fields.t", "hook"]
    assert found[1].message == f"cannot be loaded: {hook}: ValueError: not today (line 2)"


def test_a_hook_that_ends_its_process_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    hook = tmp_path / "hooks.py"
    hook.write_text("import os\nos._exit(7)\n")
    (problem,) = check_selectors(Extraction(hook=str(hook)))
    assert problem.path == "hook"
    assert "exited with status 7" in problem.message
