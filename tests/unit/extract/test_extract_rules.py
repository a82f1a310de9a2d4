"""Extraction rules as a job file writes them: what is understood, and that each mistake is told by its place, with a remedy."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from crawler.extract.read import read_extraction
from crawler.extract.rules import Extraction, Field, FollowRule, completed, expanded


def read(text: str) -> tuple[Extraction, dict[str, str]]:
    extraction, problems = read_extraction(tomllib.loads(text), Path("/jobs"))
    return extraction, {problem.path: problem.message for problem in problems}


RIGHT = """
hook = "hooks.py"
[extract.book]
when = ["/catalogue/", "/books/"]
each = "article.product"
[extract.book.fields]
title = "h3 a@title"
price = { css = ".price", type = "float", regex = "([0-9.]+)", required = true }
tags = { css = ".tag", list = true, default = [] }
author = { css = ".author", fields = { name = ".name", link = "a@href" } }
rank = { css = ".rank", type = "int", default = 0 }
free = { const = false }
page = { url = true }
[[follow]]
css = "li.next a"
next = true
[[follow]]
url = "/catalogue/"
priority = -5
only = true
"""


def test_rules_that_are_right() -> None:
    extraction, problems = read(RIGHT)
    assert problems == {}
    book = extraction.items["book"]
    assert list(book.fields) == ["title", "price", "tags", "author", "rank", "free", "page"]
    price = book.fields["price"]
    assert isinstance(price, Field)
    assert (price.css, price.type, price.regex, price.required) == (".price", "float", "([0-9.]+)", True)
    assert extraction.hook == "/jobs/hooks.py"
    assert [rule.priority for rule in map(completed, extraction.follow)] == [50, -5]


def test_rules_survive_the_way_to_the_workers() -> None:
    extraction, _ = read(RIGHT)
    assert msgspec.json.decode(msgspec.json.encode(extraction), type=Extraction) == extraction


def test_rules_may_be_none_at_all() -> None:
    extraction, problems = read("")
    assert (bool(extraction), problems) == (False, {})


@pytest.mark.parametrize(
    ("shorthand", "field"),
    [
        ("h1", Field(css="h1")),
        ("h3 a@title", Field(css="h3 a", attribute="title")),
        ("a@data-id", Field(css="a", attribute="data-id")),
        ("@id", Field(attribute="id")),
        ("//h1/text()", Field(xpath="//h1/text()")),
        ("./a/@href", Field(xpath="./a/@href")),
        ("(//h1)[1]", Field(xpath="(//h1)[1]")),
        (".", Field(xpath=".")),
        ('a[title="x@y"]', Field(css='a[title="x@y"]')),
    ],
)
def test_shorthand(shorthand: str, field: Field) -> None:
    assert expanded(shorthand) == field


def test_next_stands_for_rel_next_unless_a_selector_says_where() -> None:
    assert completed(FollowRule(next=True)).css == "a[rel~=next], link[rel~=next]"
    assert completed(FollowRule(next=True, css=".more")).css == ".more"
    assert completed(FollowRule(next=True, url="page=")).css is None
    assert completed(FollowRule(next=True, priority=7)).priority == 7


BOOK = "[extract.book]\n"
FIELDS = "[extract.book.fields]\n"
FOLLOW = "[[follow]]\n"


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("extract = 3", "extract", "must be a table"),
        ("extract.book = 3", "extract.book", "must be a table, as [extract.book] begins one"),
        (BOOK, "extract.book", 'add a table [extract.book.fields] with a line a field, as in title = "h1"'),
        (BOOK + FIELDS, "extract.book.fields", 'give at least one, as in title = "h1"'),
        (BOOK + "fields = 3", "extract.book.fields", "must be a table"),
        (BOOK + "eahc = 'x'\n" + FIELDS + 't = "h1"', "extract.book.eahc", "did you mean 'each'?"),
        (BOOK + "each = 5\n" + FIELDS + 't = "h1"', "extract.book.each", "must be a CSS or XPath selector in quotes, not 5"),
        (BOOK + "each = ' '\n" + FIELDS + 't = "h1"', "extract.book.each", "leave it out for one item a page"),
        (BOOK + "when = '('\n" + FIELDS + 't = "h1"', "extract.book.when", "not a regular expression: missing ), unterminated subpattern"),
        (BOOK + "when = 1\n" + FIELDS + 't = "h1"', "extract.book.when", "must be a regular expression in quotes, or a list of them"),
        ('[extract."my book"]\n[extract."my book".fields]\nt = "h1"', "extract.my book", "use letters, digits, _ and -"),
        (BOOK + FIELDS + '"a b" = "h1"', "extract.book.fields.a b", "use letters, digits, _ and -"),
        (BOOK + FIELDS + 'url = "a@href"', "extract.book.fields.url", "take another name"),
        (BOOK + FIELDS + 'type = "h1"', "extract.book.fields.type", "every item has 'type' already"),
        (BOOK + FIELDS + 't = ""', "extract.book.fields.t", "give a selector"),
        (BOOK + FIELDS + "t = 5", "extract.book.fields.t", 'must be a selector, as in t = "h1", or a table'),
        (BOOK + FIELDS + "t = {}", "extract.book.fields.t", "give one of css, xpath, jsonld, opengraph, meta, const, url"),
        (BOOK + FIELDS + 't = { css = "a", xpath = "//a" }', "extract.book.fields.t", "has css and xpath: a field is taken from one place"),
        (BOOK + FIELDS + 't = { css = "a", const = 0 }', "extract.book.fields.t", "has css and const"),
        (BOOK + FIELDS + 't = { css = "a", typ = "int" }', "extract.book.fields.t.typ", "did you mean 'type'?"),
        (BOOK + FIELDS + 't = { css = "a", type = "foat" }', "extract.book.fields.t.type", "did you mean 'float'?"),
        (BOOK + FIELDS + 't = { css = "a", type = "string" }', "extract.book.fields.t.type", "did you mean 'text'?"),
        (BOOK + FIELDS + 't = { css = "a", type = "zzz" }', "extract.book.fields.t.type", "the types are text, int, float"),
        (BOOK + FIELDS + 't = { css = "a", required = 1 }', "extract.book.fields.t.required", "must be true or false, not 1"),
        (BOOK + FIELDS + 't = { css = "a", list = "yes" }', "extract.book.fields.t.list", "must be true or false, not 'yes'"),
        (BOOK + FIELDS + 't = { css = "a", regex = "[" }', "extract.book.fields.t.regex", "not a regular expression"),
        (BOOK + FIELDS + 't = { css = "//a" }', "extract.book.fields.t.css", "write xpath = '//a'"),
        (BOOK + FIELDS + 't = { css = " " }', "extract.book.fields.t.css", "is empty"),
        (BOOK + FIELDS + 't = { jsonld = "price" }', "extract.book.fields.t.jsonld", 'write a type and keys, as "Product.offers.price"'),
        (BOOK + FIELDS + 't = { meta = "a", attribute = "x" }', "extract.book.fields.t.attribute", "only elements have attributes"),
        (BOOK + FIELDS + 't = { css = "a", required = true, default = "x" }', "extract.book.fields.t.default", "leave one of the two out"),
        (
            BOOK + FIELDS + 't = { css = "a", type = "int", default = "x" }',
            "extract.book.fields.t.default",
            "'x' is not of the field's type",
        ),
        (BOOK + FIELDS + 't = { css = "a", list = true, default = "x" }', "extract.book.fields.t.default", "as in default = []"),
        (BOOK + FIELDS + 't = { css = "a", type = "int", default = true }', "extract.book.fields.t.default", "True is not of"),
        (BOOK + FIELDS + 't = { css = "a", type = "int", fields = { b = "b" } }', "extract.book.fields.t.type", "leave the type out"),
        (BOOK + FIELDS + 't = { css = "a", regex = "x", fields = { b = "b" } }', "extract.book.fields.t.regex", "leave this out"),
        (BOOK + FIELDS + 't = { css = "a", fields = { b = "//b" } }', "extract.book.fields.t.fields.b", "'.//b' searches within its node"),
        (BOOK + "each = 'li'\n" + FIELDS + 't = "//b"', "extract.book.fields.t", "'/html//b' the whole page on purpose"),
        (BOOK + "each = 'li'\n" + FIELDS + 't = "(//b)[1]"', "extract.book.fields.t", "'(.//b)[1]' searches within its node"),
        (FOLLOW, "follow[0]", "say which by css, xpath or url, or give next = true"),
        ('[follow]\ncss = "a"', "follow", "write [[follow]] above each, with two brackets"),
        (FOLLOW + 'css = "a"\n' + FOLLOW + 'css = "a"\nprio = 1', "follow[1].prio", "unknown key; did you mean 'priority'?"),
        (FOLLOW + 'css = "a"\npriority = 200', "follow[0].priority", "give a number from -100 to 100"),
        (FOLLOW + 'css = "a"\npriority = "high"', "follow[0].priority", "must be a whole number from -100 to 100"),
        (FOLLOW + 'css = "a"\nxpath = "//a"', "follow[0]", "keep one of them"),
        (FOLLOW + 'css = "//a"', "follow[0].css", "write xpath = '//a'"),
        (FOLLOW + 'url = "*"', "follow[0].url", "nothing to repeat at position 0"),
        ("hook = 3", "hook", 'as in hook = "hooks.py"'),
        ('hook = "hooks"', "hook", "name one that ends in .py"),
    ],
)
def test_a_mistake_is_told_by_place_with_a_remedy(text: str, path: str, said: str) -> None:
    _, problems = read(text)
    assert list(problems) == [path], problems
    assert said in problems[path]


def test_all_mistakes_are_told_at_once() -> None:
    _, problems = read(f"{BOOK}eahc='x'\n{FIELDS}a = {{ css = 'a', type = 'foat' }}\nb = {{}}\n{FOLLOW}")
    assert list(problems) == ["extract.book.eahc", "extract.book.fields.a.type", "extract.book.fields.b", "follow[0]"]


def test_nesting_has_an_end() -> None:
    text = '"h1"'
    for _ in range(12):
        text = f'{{ css = "a", fields = {{ x = {text} }} }}'
    _, problems = read(f"{BOOK}{FIELDS}t = {text}")
    assert list(problems.values()) == ["nested more than 10 deep"]
