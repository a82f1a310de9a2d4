"""Item rules at work: from nodes of a page to JSON values, with a fault for each field that failed.

A field without a match is null (or its default) and no fault, unless it is required; then the item is not made. What matched and
could not be made the field's type is always a fault.
"""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

from crawler.extract.rules import Field, ItemRule, expanded, patterns, selectors_of
from crawler.parse.document import Document, Node, Query, ask, css_query, outer_html, text_of, tidy, xpath_query
from crawler.parse.field_types import as_text, convert, shown

MAX_FAULTS: Final = 10_000
"""Faults that one page may report."""
MAX_LIST: Final = 10_000
"""Values in one list."""

_LINKING: Final = {"a": "href", "area": "href", "link": "href", "base": "href", "object": "data"}
_REFERENCE: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:|/|\?|\.\.?/)\S*")
_SHOWING: Final = frozenset(("img", "script", "iframe", "frame", "source", "video", "audio", "embed", "track", "input"))


class Trace(Protocol):
    """Watches the rules at work, for ``crawl try``."""

    def matched(self, rule: str, count: int) -> None:
        """A selector was asked: `count` matches."""

    def value(self, rule: str, value: Any) -> None:
        """A field got a value."""


class Lacking(Exception):
    """A required field has no value: the object it belongs to is not made. The fault is reported already."""


class Work:
    """What is at hand while the rules of one page are applied: the page, and where news go."""

    def __init__(self, document: Document, trace: Trace | None = None) -> None:
        self.document = document
        self.trace = trace
        self.faults: list[tuple[str, str]] = []
        self.telling = 0
        """Values found so far that say something of the page: constants, its URL and what is not there do not."""
        self._told_broken: set[str] = set()

    def fault(self, rule: str, what: str) -> None:
        """Report a fault: `rule` as ``book.price``."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append((rule, what[:200]))

    def tell_broken(self, rule: str) -> None:
        """Report the page's JSON-LD that cannot be read, once for each rule that asks for some."""
        if rule not in self._told_broken:
            self._told_broken.add(rule)
            for broken in self.document.linked_data.broken:
                self.fault(rule, f"JSON-LD: {broken}")

    def matched(self, rule: str, count: int) -> None:
        """Tell the trace how often a selector matched."""
        if self.trace is not None:
            self.trace.matched(rule, count)


class CompiledField:
    """One field, its selector and its regular expression compiled."""

    def __init__(self, rule: str, given: Field | str) -> None:
        """`rule` names it in faults. Raises ValueError for a selector that is none."""
        self.rule = rule
        field = self.field = expanded(given)
        self._query = compiled_query(field)
        self._pattern = None if field.regex is None else re.compile(field.regex)
        self._inner = {name: CompiledField(f"{rule}.{name}", inner) for name, inner in field.fields.items()}
        # Without any selector a regular expression is searched in the HTML, where scripts have what is shown nowhere.
        self._in_source = self._query is None and self._pattern is not None and field.attribute is None and not self._is_named()

    def _is_named(self) -> bool:
        field = self.field
        return field.url or any(source is not None for source in (field.jsonld, field.opengraph, field.meta, field.const))

    def value(self, node: Node, work: Work) -> Any:
        """Return the field's value within `node`; raises Lacking."""
        matches = self._matches(node, work)
        work.matched(self.rule, len(matches))
        faults_before = len(work.faults)
        values: list[Any] = []
        for match in matches[:MAX_LIST]:
            values += self._values(match, work)
            if values and not self.field.many:
                break
        if not values:
            if matches and self.field.many and self._pattern is not None and self.field.default is None:  # in a list it may leave some out
                work.fault(self.rule, f"its regex finds nothing in any of {len(matches)} matches")
            return self._missing(work, found_some=bool(matches), told=len(work.faults) > faults_before)
        value = values[:MAX_LIST] if self.field.many else values[0]
        if value is not False and self.field.const is None and not self.field.url:
            work.telling += 1
        if work.trace is not None:
            work.trace.value(self.rule, value)
        return value

    def _missing(self, work: Work, *, found_some: bool, told: bool) -> Any:
        field = self.field
        if field.required:
            if not told:
                work.fault(self.rule, "required, but what matched is empty" if found_some else "required, but nothing matched")
            raise Lacking
        return field.default if field.default is not None else [] if field.many else None

    def _matches(self, node: Node, work: Work) -> list[Any]:
        field = self.field
        if self._query is not None:
            try:
                return ask(self._query, node)
            except ValueError as error:
                work.fault(self.rule, str(error))
                return []
        if field.jsonld is not None:
            work.tell_broken(self.rule)
            return work.document.linked_data.find(field.jsonld)
        name = field.opengraph if field.opengraph is not None else field.meta
        if name is not None:
            return list(work.document.properties.get(name.strip().lower(), []))
        if field.const is not None:
            return [field.const]
        return [work.document.url] if field.url else [node]

    def _values(self, match: Any, work: Work) -> list[Any]:
        """Return what one match comes to: usually one value, none where it is empty, or more where a regular expression finds more."""
        if self.field.const is not None:
            return [match]
        if self._inner:
            return self._object(match, work)
        values = []
        for raw in self._cut(self._raw(match, work), work):
            try:
                values.append(convert(raw, self.field.type, work.document.base))
            except ValueError as error:
                work.fault(self.rule, str(error))
        return [value for value in values if value not in ("", None)]

    def _object(self, match: Any, work: Work) -> list[Any]:
        if isinstance(match, str | int | float):
            work.fault(self.rule, f"selects text, in which its fields cannot be searched: {shown(match)}")
            return []
        try:
            value = {name: inner.value(match, work) for name, inner in self._inner.items()}
        except Lacking:
            return []
        return [value] if any(inner not in (None, []) for inner in value.values()) else []

    def _raw(self, match: Any, work: Work) -> Any:
        """Return what is taken of a match: an attribute, HTML, text; of JSON-LD, which has types already, the value itself."""
        field = self.field
        if not hasattr(match, "tag"):
            if isinstance(match, dict) and field.type in ("text", "url"):
                match = match.get("url" if field.type == "url" else "name", match)
            return tidy(match) if isinstance(match, str) and field.type == "text" else match
        if field.attribute is not None:
            return match.get(field.attribute)
        if self._in_source:
            return work.document.source if match is work.document.root else outer_html(match)
        if field.type == "html":
            return outer_html(match)
        implied = _implied_attribute(match, field.type)
        return self._text(match, work) if implied is None else implied

    def _text(self, element: Node, work: Work) -> str | None:
        if self.field.type == "json":
            return "".join(element.itertext())
        text = text_of(element)
        if self.field.type == "url" and self._pattern is None and text and not _REFERENCE.fullmatch(text):
            said = f"selects {element.tag} without href or src, and its text is no URL: {shown(text)}; select the link itself"
            work.fault(self.rule, said)
            return None
        return text

    def _cut(self, raw: Any, work: Work) -> list[Any]:
        """Apply the regular expression; nothing and white space are no value."""
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            return []
        if self._pattern is None:
            return [raw]
        text = as_text(raw)
        cuts = [_group(cut) for cut in self._pattern.finditer(text)] if self.field.many else _first(self._pattern, text)
        kept = [cut for cut in cuts if cut.strip()]
        if not kept and not self.field.many and not self._in_source and self.field.default is None:
            work.fault(self.rule, f"its regex finds nothing in {shown(text)}")
        return kept


def _first(pattern: re.Pattern[str], text: str) -> list[str]:
    match = pattern.search(text)
    return [] if match is None else [_group(match)]


def _group(match: re.Match[str]) -> str:
    """Return the first group that took part, all of the match where there is no group."""
    return next((group for group in match.groups() if group is not None), "" if match.re.groups else match[0])


def _implied_attribute(node: Node, kind: str) -> str | None:
    """Return the attribute in which an element of this name has what is wanted of it; None: its text has it."""
    tag = node.tag
    if tag == "meta":
        return str(node.get("content") or "")
    if kind == "url":
        name = _LINKING.get(tag) or ("src" if tag in _SHOWING else None)
        return None if name is None or node.get(name) is None else str(node.get(name))
    if kind == "date" and tag in ("time", "ins", "del"):
        value = node.get("datetime")
        return None if value is None else str(value)
    return None


def compiled_query(field: Field) -> Query | None:
    """Return a field's selector, compiled; raises ValueError for one that is none."""
    if field.css is not None:
        return css_query(field.css)
    return None if field.xpath is None else xpath_query(field.xpath)


class CompiledItem:
    """One item rule, compiled."""

    def __init__(self, name: str, rule: ItemRule) -> None:
        """Raises ValueError for a selector that is none."""
        self.name = name
        self._when = [re.compile(pattern) for pattern in patterns(rule.when)]
        self._each = None if rule.each is None else compiled_query(selectors_of(rule.each))
        self._fields = {field: CompiledField(f"{name}.{field}", given) for field, given in rule.fields.items()}
        self._has_telling = any(one.field.const is None and not one.field.url for one in self._fields.values())

    def applies(self, url: str) -> bool:
        """Whether the rule is for the page at `url`."""
        return not self._when or any(pattern.search(url) for pattern in self._when)

    def items(self, work: Work, limit: int) -> list[dict[str, Any]]:
        """Return the fields of each item in the page, at most `limit` items."""
        nodes = [work.document.root] if self._each is None else self._nodes(work, limit)
        made = []
        for node in nodes:
            before = work.telling
            try:
                fields = {name: field.value(node, work) for name, field in self._fields.items()}
            except Lacking:
                continue
            if work.telling > before or not self._has_telling:
                made.append(fields)
            elif self._when:  # it was said that this page has one
                work.fault(self.name, "none of its fields matched anything")
        return made

    def _nodes(self, work: Work, limit: int) -> list[Node]:
        rule = f"{self.name}.each"
        try:
            matches = [] if self._each is None else ask(self._each, work.document.root)
        except ValueError as error:
            work.fault(rule, str(error))
            return []
        nodes = [node for node in matches if hasattr(node, "tag")]
        work.matched(rule, len(nodes))
        if len(nodes) < len(matches):
            work.fault(rule, "selects text or attributes; it must select elements")
        elif not nodes and self._when:
            work.fault(rule, "matched nothing")
        if len(nodes) > limit:
            work.fault(rule, f"{len(nodes)} matches; those after {limit} are left out")
        return nodes[:limit]
