"""From the tables of a job file, as TOML or JSON gave them, to `Extraction`: every mistake is told, not only the first."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from crawler.extract.check import check
from crawler.extract.rules import Extraction, Field, FollowRule, ItemRule, Problem

KEYS: Final = ("extract", "follow", "hook")
"""The keys of a job file that are read here."""

S = TypeVar("S", bound=Struct)


def read_extraction(table: Mapping[str, Any], folder: Path) -> tuple[Extraction, list[Problem]]:
    """Read the keys ``extract``, ``follow`` and ``hook`` of a job file, no others; return what could be read and what is wrong.

    `folder`: the job file's, from which the hook's path counts. Selectors are not looked into: `cli.selectors.check_selectors` does that.
    """
    problems: list[Problem] = []
    items: dict[str, ItemRule] = {}
    for name, rule in _table(table.get("extract", {}), "extract", problems).items():
        read = _item_rule(rule, f"extract.{name}", problems)
        if read is not None:
            items[name] = read
    follow = table.get("follow", [])
    if not isinstance(follow, list):
        problems.append(Problem("follow", "follow rules are a list: write [[follow]] above each, with two brackets"))
        follow = []
    found = [_struct(FollowRule, rule, f"follow[{number}]", problems) for number, rule in enumerate(follow)]
    hook = table.get("hook")
    if hook is not None and not isinstance(hook, str):
        problems.append(Problem("hook", 'the path of a Python file, as in hook = "hooks.py"'))
        hook = None
    extraction = Extraction(
        items=items, follow=[rule for rule in found if rule is not None], hook=None if hook is None else str((folder / hook).resolve())
    )
    told = {problem.path for problem in problems}
    return extraction, problems + [problem for problem in check(extraction) if not _follows_from(problem, told)]


def _follows_from(problem: Problem, told: set[str]) -> bool:
    """Whether a problem is told already, or is that a table has no fields left after what was wrong in it."""
    path = problem.path
    fewer = path.endswith(".fields") and (path.removesuffix(".fields") in told or any(one.startswith(f"{path}.") for one in told))
    return fewer or path in told


def _table(value: Any, path: str, problems: list[Problem]) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    problems.append(Problem(path, f"must be a table, as [{path}] begins one, not {_named(value)}"))
    return {}


def _item_rule(value: Any, path: str, problems: list[Problem]) -> ItemRule | None:
    if not isinstance(value, Mapping):
        problems.append(Problem(path, f"must be a table, as [{path}] begins one, not {_named(value)}"))
        return None
    fields = value.get("fields")
    if fields is None:
        hint = f'has no fields; add a table [{path}.fields] with a line a field, as in title = "h1"'
        problems.append(Problem(path, hint))
        fields = {}
    read = _fields(fields, f"{path}.fields", problems)
    return _struct(ItemRule, {**value, "fields": {}}, path, problems, fields=read)


def _fields(value: Any, path: str, problems: list[Problem]) -> dict[str, Field | str]:
    read: dict[str, Field | str] = {}
    for name, field in _table(value, path, problems).items():
        if isinstance(field, str):
            read[name] = field
            continue
        if not isinstance(field, Mapping):
            said = f'must be a selector, as in {name} = "h1", or a table, as in {name} = {{ css = "h1" }}, not {_named(field)}'
            problems.append(Problem(f"{path}.{name}", said))
            continue
        nested = _fields(field.get("fields", {}), f"{path}.{name}.fields", problems)
        one = _struct(Field, {**field, "fields": {}}, f"{path}.{name}", problems, fields=nested)
        if one is not None:
            read[name] = one
    return read


def _struct(kind: type[S], table: Any, path: str, problems: list[Problem], **ready: Any) -> S | None:
    """Read one table key by key; what is wrong is left at its default."""
    if not isinstance(table, Mapping):
        problems.append(Problem(path, f"must be a table, not {_named(table)}"))
        return None
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            problems.append(Problem(f"{path}.{key}", _unknown_key(key, known)))
            continue
        try:
            values[known[key].name] = msgspec.convert(value, known[key].type)
        except msgspec.ValidationError:
            problems.append(Problem(f"{path}.{key}", f"must be {_EXPECTED[key]}, not {_named(value)}"))
    return kind(**values | ready)


_EXPECTED: Final = {
    "when": "a regular expression in quotes, or a list of them",
    "url": "true (the page's URL) in a field; in a follow rule a regular expression in quotes, or a list of them",
    "each": "a CSS or XPath selector in quotes",
    "priority": "a whole number from -100 to 100",
    **dict.fromkeys(("only", "next", "required", "list"), "true or false"),
    **dict.fromkeys(("css", "xpath"), "a selector in quotes"),
    "regex": "a regular expression in quotes",
    "jsonld": 'a path in quotes, as "Product.offers.price"',
    "opengraph": 'a property in quotes, as "og:title"',
    "meta": "the name of a meta element in quotes",
    "attribute": "the name of an attribute in quotes",
    "type": "one of the types' names in quotes",
    "fields": "a table",
}


def _unknown_key(key: str, known: Iterable[str]) -> str:
    """Say that there is no such key, with the nearest one or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(key, names, 1, 0.6)
    return f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known are {', '.join(names)}"


def _named(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return repr(value)[:60]
