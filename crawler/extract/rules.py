"""The extraction part of a job file as frozen structs; `check` (in `crawler.extract.check`) finds what is wrong in them."""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

TYPES: Final = ("text", "int", "float", "bool", "date", "url", "html", "json")
"""What a field's value can be made."""
SOURCES: Final = ("css", "xpath", "jsonld", "opengraph", "meta", "const", "url")
"""Where a field's value can come from; a field has one of these, or is taken from its node itself."""
NEXT_PRIORITY: Final = 50
"""The priority of next-page links."""
MAX_PRIORITY: Final = 100
NEXT_LINKS: Final = "a[rel~=next], link[rel~=next]"
"""Where next-page links are when a rule with ``next`` does not say."""

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
"""What names of item types and fields look like: outputs make tables and columns of them."""

_ATTRIBUTE: Final = re.compile(r"(.*?)@([A-Za-z_][\w:.-]*)", re.S)


class Field(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"many": "list"}):
    """How one field of an item is found, and what it is made.

    At most one of `SOURCES`; without one the value is taken from the node at hand: that of `each`, or the whole page.
    """

    css: str | None = None
    xpath: str | None = None
    jsonld: str | None = None  # "Product.offers.price": a type, then keys
    opengraph: str | None = None  # "og:title"
    meta: str | None = None  # the name of a meta element
    const: Any = None
    url: bool = False  # the page's URL
    regex: str | None = None  # found in the value: its first group, or all of it
    attribute: str | None = None  # of the element, instead of its text
    type: str = "text"  # one of `TYPES`
    default: Any = None
    required: bool = False
    many: bool = False  # "list" in the file: all matches, not only the first
    fields: dict[str, Field | str] = {}  # the value is an object with these, found within each match


class ItemRule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One type of item: on which pages, at which nodes of them, with which fields."""

    fields: dict[str, Field | str]
    when: str | list[str] = []  # regular expressions, one of which is found in the page's URL; none: all pages
    each: str | None = None  # CSS or XPath, an item a match; None: one item a page


class FollowRule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which links of a page are followed, and with what priority."""

    when: str | list[str] = []  # as in `ItemRule`
    css: str | None = None  # elements that are links or hold some
    xpath: str | None = None
    url: str | list[str] = []  # regular expressions, one of which is found in the target
    priority: int = 0  # -100 to 100, higher first
    only: bool = False  # on pages that this rule is for, links that no rule takes are not followed
    next: bool = False  # next-page links: priority 50 where none is given, and rel=next where no selector is


class Extraction(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of it."""

    items: dict[str, ItemRule] = {}
    follow: list[FollowRule] = []
    hook: str | None = None  # path of a Python module with ``parse(page)``

    def __bool__(self) -> bool:
        """Whether there is anything to do for a page."""
        return bool(self.items or self.follow or self.hook)


class Problem(Struct, frozen=True):
    """A mistake in a job file: the key path where it is, and what to do about it."""

    path: str
    message: str


def is_xpath(selector: str) -> bool:
    """Whether a selector without a name is XPath: it begins with a slash, a dot and a slash, or a parenthesis, or is a lone dot."""
    return selector.startswith(("/", "./", "../", "(")) or selector == "."


def expanded(field: Field | str) -> Field:
    """Return a field with the shorthand written out: ``"h1"``, ``"a@href"``, ``"@id"``, ``"//h1/text()"``."""
    if isinstance(field, Field):
        return field
    text = field.strip()
    if is_xpath(text):
        return Field(xpath=text)
    match = _ATTRIBUTE.fullmatch(text)
    return Field(css=text) if match is None else Field(css=match[1].strip() or None, attribute=match[2])


def completed(rule: FollowRule) -> FollowRule:
    """Return a follow rule with what ``next`` stands for written out."""
    if not rule.next:
        return rule
    bare = rule.css is None and rule.xpath is None and not rule.url
    return replace(rule, css=NEXT_LINKS if bare else rule.css, priority=rule.priority or NEXT_PRIORITY)


def selectors_of(each: str) -> Field:
    """Return the selector of `each` as a field with ``css`` or ``xpath``."""
    text = each.strip()
    return Field(xpath=text) if is_xpath(text) else Field(css=text)


def patterns(given: str | list[str]) -> list[str]:
    """Return one pattern or several as a list."""
    return [given] if isinstance(given, str) else given
