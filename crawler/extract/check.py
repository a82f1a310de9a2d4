"""What can be said about extraction rules without a page and without a parser: every mistake, each by its key path."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, Final

from crawler.extract.rules import (
    MAX_PRIORITY,
    NAME,
    SOURCES,
    TYPES,
    Extraction,
    Field,
    FollowRule,
    ItemRule,
    Problem,
    expanded,
    is_xpath,
    patterns,
)

MAX_NESTING: Final = 10
RESERVED: Final = {"type": "the item's type", "url": "the page's URL"}
"""Fields that every item has."""

_JSONLD: Final = re.compile(r"(?:[A-Z][A-Za-z0-9]*|\*)(?:\.[^.\s]+)*")
_PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "text": (str,),
    "html": (str,),
    "url": (str,),
    "date": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
}


def check(extraction: Extraction) -> list[Problem]:
    """Return every mistake in `extraction`, in the order of the rules; none: an empty list."""
    return list(_problems(extraction))


def _problems(extraction: Extraction) -> Iterator[Problem]:
    for name, rule in extraction.items.items():
        path = f"extract.{name}"
        if not NAME.fullmatch(name):
            yield Problem(path, "not a name of an item type; use letters, digits, _ and -, beginning with a letter")
        yield from _item_rule(rule, path)
    for number, follow in enumerate(extraction.follow):
        yield from _follow_rule(follow, f"follow[{number}]")
    if extraction.hook is not None and not extraction.hook.endswith(".py"):
        yield Problem("hook", f"{extraction.hook}: not a Python file; name one that ends in .py")


def _item_rule(rule: ItemRule, path: str) -> Iterator[Problem]:
    yield from _patterns(rule.when, f"{path}.when", "the page's URL")
    if rule.each is not None and not rule.each.strip():
        yield Problem(f"{path}.each", 'is empty; leave it out for one item a page, or name the nodes, as in "article.product"')
    if not rule.fields:
        yield Problem(f"{path}.fields", 'has no fields; give at least one, as in title = "h1"')
    for name in rule.fields:
        if name in RESERVED:
            yield Problem(f"{path}.fields.{name}", f"every item has {name!r} already: {RESERVED[name]}; take another name for this field")
    yield from _fields(rule.fields, f"{path}.fields", within=rule.each is not None, depth=1)


def _fields(fields: dict[str, Field | str], path: str, *, within: bool, depth: int) -> Iterator[Problem]:
    """`within`: the fields are searched in a node, not in the whole page."""
    if depth > MAX_NESTING:
        yield Problem(path, f"nested more than {MAX_NESTING} deep")
        return
    for name, given in fields.items():
        here = f"{path}.{name}"
        if not NAME.fullmatch(name):
            yield Problem(here, "not a name of a field; use letters, digits, _ and -, beginning with a letter")
        if isinstance(given, str) and not given.strip():
            yield Problem(here, 'is empty; give a selector, as in "h1" or "a@href"')
            continue
        field = expanded(given)
        for problem in (*_source(field, here, within=within), *_value(field, here)):
            yield problem if isinstance(given, Field) else Problem(here, problem.message)  # a selector alone has no keys
        found = field.css is not None or field.xpath is not None
        yield from _fields(field.fields, f"{here}.fields", within=within or found, depth=depth + 1)


def _source(field: Field, path: str, *, within: bool) -> Iterator[Problem]:
    given = [name for name in SOURCES if (value := getattr(field, name)) is not None and not (name == "url" and value is False)]
    if len(given) > 1:
        yield Problem(path, f"has {' and '.join(given)}: a field is taken from one place; keep one of them")
    if not given and not (field.attribute or field.regex or field.fields):
        yield Problem(path, f"says nowhere to take it from; give one of {', '.join(SOURCES)}")
    for name in ("css", "xpath", "opengraph", "meta"):
        value = getattr(field, name)
        if value is not None and not value.strip():
            yield Problem(f"{path}.{name}", "is empty")
    if field.xpath is not None and within and field.xpath.lstrip("( ").startswith("//"):
        inner, outer = (field.xpath.replace("//", f"{start}//", 1) for start in (".", "/html"))
        remedy = f"{inner!r} searches within its node, {outer!r} the whole page on purpose"
        yield Problem(f"{path}.xpath", f"{field.xpath!r} searches the whole page, for each node again; {remedy}")
    if field.css is not None and is_xpath(field.css.strip()):
        yield Problem(f"{path}.css", f"{field.css!r} is XPath; write xpath = {field.css!r}")
    if field.jsonld is not None and not _JSONLD.fullmatch(field.jsonld):
        yield Problem(f"{path}.jsonld", f'{field.jsonld!r}: not a path; write a type and keys, as "Product.offers.price", or "*.name"')
    if field.attribute is not None and any(name in ("jsonld", "opengraph", "meta", "const", "url") for name in given):
        yield Problem(f"{path}.attribute", "only elements have attributes: use it with css or xpath, or leave it out")


def _value(field: Field, path: str) -> Iterator[Problem]:
    if field.type not in TYPES:
        near = difflib.get_close_matches(_ALIASES.get(field.type.lower(), field.type.lower()), TYPES, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"the types are {', '.join(TYPES)}"
        yield Problem(f"{path}.type", f"unknown type {field.type!r}; {hint}")
    if field.regex is not None:
        yield from _patterns(field.regex, f"{path}.regex", "the value")
    if field.required and field.default is not None:
        yield Problem(f"{path}.default", "a required field needs no default, it is there or the item is not; leave one of the two out")
    if field.fields:
        for name in ("regex", "attribute", "const", "jsonld", "opengraph", "meta"):
            if getattr(field, name) is not None:
                yield Problem(f"{path}.{name}", "a field with fields of its own is an object found by css or xpath; leave this out")
        if field.type not in ("text", "json"):
            yield Problem(f"{path}.type", "a field with fields of its own is an object; leave the type out")
    elif field.type in TYPES and field.default is not None:
        yield from _default(field, path)


_ALIASES: Final = {
    "string": "text",
    "str": "text",
    "integer": "int",
    "number": "float",
    "decimal": "float",
    "price": "float",
    "boolean": "bool",
    "datetime": "date",
    "time": "date",
    "link": "url",
    "href": "url",
    "uri": "url",
    "object": "json",
}


def _default(field: Field, path: str) -> Iterator[Problem]:
    values = field.default if field.many and isinstance(field.default, list) else [field.default]
    if field.many and not isinstance(field.default, list):
        yield Problem(f"{path}.default", "the field is a list, so its default must be one, as in default = []")
    elif any(not _fits(value, field.type) for value in values):
        yield Problem(f"{path}.default", f"{field.default!r} is not of the field's type {field.type!r}")


def _fits(value: Any, kind: str) -> bool:
    if kind == "json":
        return True
    return isinstance(value, _PYTHON_TYPES[kind]) and (kind == "bool" or not isinstance(value, bool))


def _follow_rule(rule: FollowRule, path: str) -> Iterator[Problem]:
    yield from _patterns(rule.when, f"{path}.when", "the page's URL")
    yield from _patterns(rule.url, f"{path}.url", "the link's URL")
    if rule.css is not None and rule.xpath is not None:
        yield Problem(path, "has css and xpath: keep one of them")
    if not (rule.css or rule.xpath or rule.url or rule.next):
        yield Problem(path, "takes no link: say which by css, xpath or url, or give next = true")
    if rule.css is not None and is_xpath(rule.css.strip()):
        yield Problem(f"{path}.css", f"{rule.css!r} is XPath; write xpath = {rule.css!r}")
    if not -MAX_PRIORITY <= rule.priority <= MAX_PRIORITY:
        yield Problem(f"{path}.priority", f"{rule.priority} is out of range; give a number from -{MAX_PRIORITY} to {MAX_PRIORITY}")


def _patterns(given: str | list[str], path: str, searched: str) -> Iterator[Problem]:
    for pattern in patterns(given):
        try:
            re.compile(pattern)
        except re.error as error:
            where = f" at position {error.pos}" if error.pos is not None else ""
            remedy = f"it is searched in {searched}; a character with a meaning of its own, as ( or *, is written with \\ before it"
            yield Problem(path, f"{pattern!r}: not a regular expression: {error.msg}{where}; {remedy}")
        except (OverflowError, RecursionError):
            yield Problem(path, f"{pattern[:60]!r}: too large a regular expression")
