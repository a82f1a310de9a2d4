"""What a page says of itself for machines: JSON-LD, lenient, and the properties of meta elements (OpenGraph and the like).

A block of JSON-LD that is broken beyond repair loses only itself. Repaired are: comments and CDATA around it, control characters in
strings, commas before a closing bracket, a semicolon at the end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from lxml import etree
from msgspec import Struct

MAX_DEPTH: Final = 60
"""Levels of JSON-LD that are searched."""
MAX_VALUES: Final = 1000
"""Values that one path may lead to."""

_WRAPPING: Final = re.compile(r"^\s*(?:<!--|(?://|/\*)?\s*<!\[CDATA\[(?:\s*\*/)?)|(?:-->|(?://|/\*)?\s*\]\]>(?:\s*\*/)?)\s*;?\s*$")
_COMMA: Final = re.compile(r'("(?:[^"\\]|\\.)*+")|,(?=\s*[\]}])')
_SCRIPTS: Final[Callable[[Any], Any]] = etree.XPath("//script[contains(translate(@type, 'LDJSON', 'ldjson'), 'ld+json')]")
_METAS: Final[Callable[[Any], Any]] = etree.XPath("//meta[@content][@property or @name or @itemprop]")


class LinkedData(Struct, frozen=True):
    """The JSON-LD of a page: its nodes in document order, ``@graph`` taken apart, and what could not be read."""

    nodes: list[dict[str, Any]]
    broken: list[str]  # a line for people for each block

    def find(self, path: str) -> list[Any]:
        """Return the values at a path: a type (``*``: any), then keys; lists on the way are gone through, all of them."""
        head, *keys = path.split(".")
        values: list[Any] = list(self._of_type(head))
        for key in keys:
            values = [found for value in values for found in self._step(value, key)][:MAX_VALUES]
        return [self._whole(value) for value in values]

    def _of_type(self, name: str) -> Iterator[dict[str, Any]]:
        for node in self.nodes:
            for inner in _objects(node, 0):
                if len(inner) > 1 and (name in types_of(inner) or (name == "*" and inner is node)):
                    yield inner

    def _step(self, value: Any, key: str) -> list[Any]:
        value = self._whole(value)
        if isinstance(value, list):
            return [found for element in value for found in self._step(element, key)]
        found = value.get(key) if isinstance(value, dict) else None
        if found is None:
            return []
        return found if isinstance(found, list) else [found]

    def _whole(self, value: Any) -> Any:
        """Return the node that ``{"@id": …}`` stands for, the text that ``{"@value": …}`` does, all else as it is."""
        if not isinstance(value, dict):
            return value
        if "@value" in value:
            return value["@value"]
        if len(value) == 1 and "@id" in value:
            return next((node for node in self.nodes if len(node) > 1 and node.get("@id") == value["@id"]), value["@id"])
        return value


def types_of(node: dict[str, Any]) -> list[str]:
    """Return the types of a node, without the vocabulary before them: ``Product`` for ``https://schema.org/Product``."""
    given = node.get("@type")
    names = given if isinstance(given, list) else [given]
    return [re.split(r"[/#:]", name)[-1] for name in names if isinstance(name, str)]


def _objects(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Yield every object in `value`, the outer before the inner."""
    if depth > MAX_DEPTH:
        return
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner, depth + 1)


def linked_data(root: etree._Element) -> LinkedData:
    """Read the JSON-LD of a document."""
    nodes: list[dict[str, Any]] = []
    broken: list[str] = []
    for number, script in enumerate(_SCRIPTS(root), 1):
        text = "".join(script.itertext()).strip()
        if not text:
            continue
        try:
            _collect(_decoded(text), nodes)
        except (ValueError, RecursionError) as error:
            broken.append(f"block {number} is broken: {error}"[:200])
    return LinkedData(nodes, broken)


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        pass
    text = _WRAPPING.sub("", _WRAPPING.sub("", text)).strip().rstrip(";")
    return json.loads(_COMMA.sub(lambda match: match[1] or "", text), strict=False)


def _collect(value: Any, nodes: list[dict[str, Any]]) -> None:
    for element in value if isinstance(value, list) else [value]:
        if not isinstance(element, dict):
            continue
        graph = element.get("@graph")
        if graph is None or types_of(element):
            nodes.append(element)
        if graph is not None:
            _collect(graph, nodes)


def meta_properties(root: etree._Element) -> dict[str, list[str]]:
    """Return the contents of meta elements by lower-cased ``property``, ``name`` or ``itemprop``, in document order."""
    found: dict[str, list[str]] = {}
    for element in _METAS(root):
        names = {(element.get(key) or "").strip().lower() for key in ("property", "name", "itemprop")}
        for name in names - {""}:
            found.setdefault(name, []).append((element.get("content") or "").strip())
    return found
