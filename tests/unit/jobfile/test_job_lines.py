"""The line of every key: TOML as it may be written, checked against what the parser finds in it."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.jobfile.lines import json_lines, toml_lines

TOML = '''# a comment with "quotes" and [brackets]
seeds = [
  "https://a.example/#x",   # 3
  'https://b.example/',
]
title."with.dot" = 1

[scope]
text = """
depth = 9
[politeness] \\""" """
literal = \'\'\'
a = 'b' \'\'\'
quoted = "a \\"b\\" = ]"
when = 2026-01-01 10:00:00
[fetch . sites."https://example.org"]
headers = { "X-A" = "1", b = { c = [
  { d = 1 },
  { d = 2 } ] } }
[[follow]]
css = "a[href='x']"
[follow.deep]
x = 1
[[follow]]
css = "b"
[politeness]
hosts."*.a.b".delay = 1
'''
EXPECTED = {
    "seeds": 2,
    "seeds/0": 3,
    "seeds/1": 4,
    "title/with.dot": 6,
    "scope/text": 9,
    "scope/literal": 12,
    "scope/quoted": 14,
    "scope/when": 15,
    "fetch/sites/https://example.org": 16,
    "fetch/sites/https://example.org/headers/X-A": 17,
    "fetch/sites/https://example.org/headers/b/c/0/d": 18,
    "fetch/sites/https://example.org/headers/b/c/1/d": 19,
    "follow/0/css": 21,
    "follow/0/deep/x": 23,
    "follow/1": 24,
    "follow/1/css": 25,
    "politeness/hosts/*.a.b/delay": 27,
}


def every_path(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return set().union(*({(*path, key)} | every_path(item, (*path, key)) for key, item in items))


def named(path: str) -> tuple[str | int, ...]:
    parts = ["https://example.org" if part == "SITE" else part for part in path.replace("https://example.org", "SITE").split("/")]
    return tuple(int(part) if part.isdigit() else part for part in parts)


def test_lines_of_toml() -> None:
    lines = toml_lines(TOML)
    assert every_path(tomllib.loads(TOML)) == set(lines.of)
    wanted = {path: line for path, line in EXPECTED.items() if "with.dot" not in path}
    assert {path: lines.of[named(path)] for path in wanted} == wanted
    assert lines.of["title", "with.dot"] == 6
    assert lines.twice == []


@pytest.mark.parametrize(
    ("text", "twice"), [('{"a": 1,\n "b": {"c": 1,\n "c": 2}}', [(("b", "c"), 3)]), ('{"a": 1, "a": 1}', [(("a",), 1)])]
)
def test_what_stands_twice_in_json(text: str, twice: object) -> None:
    assert json_lines(text).twice == twice


def test_dotted_keys_share_their_beginnings() -> None:
    lines = toml_lines("[extract.book]\nfields.title = 1\nfields.price.css = 2\nfields.price.type = 3\n")
    assert lines.twice == []
    assert lines.of["extract", "book", "fields", "price", "type"] == 4


def test_a_key_that_is_not_there_has_the_line_of_the_table_around_it() -> None:
    lines = toml_lines("[a]\nb = { c = 1 }\n")
    assert lines.find(("a", "b", "missing", "deeper")) == 2
    assert lines.find(("a", "other")) == 1
    assert lines.find(("z",)) is None


VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=8,
)


@given(document=st.dictionaries(st.text(max_size=6), VALUES, max_size=4), indent=st.sampled_from([None, 1]))
def test_every_key_of_any_json_is_found(document: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(document, indent=indent)
    lines = json_lines(text)
    assert every_path(document) == set(lines.of)
    assert lines.twice == []
