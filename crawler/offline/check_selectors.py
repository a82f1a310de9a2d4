"""``python -m crawler.offline.check_selectors``: an `Extraction` as JSON in, the problems of its selectors and its hook as JSON out.

A process of its own: the crawl's own process loads neither lxml nor the user's code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from crawler.extract.rules import Extraction, Field, Problem, completed, expanded, selectors_of
from crawler.parse.document import Query, css_query, xpath_query
from crawler.parse.hook import Hook, HookError

_LITERALS: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_CALLED: Final = re.compile(r"(?<![\w.-])((?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*)\s*\(")
_NAMES: Final = (
    "last position count id local-name namespace-uri name string concat starts-with contains substring-before substring-after substring "
    "string-length normalize-space translate boolean not true false lang number sum floor ceiling round "  # XPath 1.0 section 4
    "node text comment processing-instruction and or mod div "  # node tests and operators, which a parenthesis may follow
    "re:test re:match re:replace has-class"
)
_KNOWN: Final = frozenset(_NAMES.split())
_FUNCTIONS: Final = "known are the functions of XPath 1.0, re:test(), re:match(), re:replace() and has-class()"
_TRY: Final = "'crawl shell URL' is a place to try selectors"


def main() -> int:
    """Serve standard input and output."""
    extraction = msgspec.json.decode(sys.stdin.buffer.read(), type=Extraction)
    sys.stdout.buffer.write(msgspec.json.encode(list(problems(extraction))))
    return 0


def problems(extraction: Extraction) -> Iterator[Problem]:
    """Yield what is wrong with selectors, each by its key path, and with the hook."""
    for name, rule in extraction.items.items():
        if rule.each is not None:
            yield from (Problem(f"extract.{name}.each", problem.message) for problem in _selector(selectors_of(rule.each), ""))
        yield from _fields(rule.fields, f"extract.{name}.fields")
    for number, follow in enumerate(extraction.follow):
        rule_with_all = completed(follow)
        yield from _selector(Field(css=rule_with_all.css, xpath=rule_with_all.xpath), f"follow[{number}]")
    if extraction.hook is not None:
        try:
            Hook(extraction.hook)
        except HookError as error:
            yield Problem("hook", f"cannot be loaded: {error}")


def _fields(fields: dict[str, Field | str], path: str) -> Iterator[Problem]:
    for name, given in fields.items():
        here = f"{path}.{name}"
        field = expanded(given)
        for problem in _selector(field, here):
            yield problem if isinstance(given, Field) else Problem(here, problem.message)
        yield from _fields(field.fields, f"{here}.fields")


def _selector(field: Field, path: str) -> Iterator[Problem]:
    if field.css is not None:
        yield from _tried(css_query, field.css, f"{path}.css", _css_remedy)
    if field.xpath is not None:
        wrong = list(_tried(xpath_query, field.xpath, f"{path}.xpath", _xpath_remedy))
        yield from wrong or _functions(field.xpath, f"{path}.xpath")


def _functions(xpath: str, path: str) -> Iterator[Problem]:
    """Name functions that there are not: lxml sees them only where the expression has something to work on."""
    for name in _CALLED.findall(_LITERALS.sub("", xpath)):
        if name not in _KNOWN:
            yield Problem(path, f"{xpath!r} is not XPath 1.0: there is no function {name}(); {_FUNCTIONS}")


def _tried(compile_it: Callable[[str], Query], selector: str, path: str, remedy: Callable[[str, str], str]) -> Iterator[Problem]:
    try:
        compile_it(selector)
    except ValueError as error:
        yield Problem(path, f"{error}; {remedy(selector, str(error))}")


def _css_remedy(selector: str, said: str) -> str:
    if unclosed := _unclosed(selector):
        return unclosed
    if "@" in selector:
        return 'in a table, the attribute stands apart: css = "a", attribute = "href"'
    if "pseudo-class" in said or "pseudo-element" in said:
        return "known are :not() :is() :has() :contains() :nth-child() and the like, ::text and ::attr(); write the rest as xpath"
    return _TRY


def _xpath_remedy(selector: str, said: str) -> str:
    if unclosed := _unclosed(selector):
        return unclosed
    if "namespace" in said:
        return "HTML has no namespaces: leave the prefix out; only re: is known"
    if "function" in said:
        return _FUNCTIONS
    return _TRY


def _unclosed(selector: str) -> str | None:
    for opening, closing in ("[]", "()"):
        if selector.count(opening) != selector.count(closing):
            return f"count its brackets: {selector.count(opening)} {opening} and {selector.count(closing)} {closing}"
    if selector.count("'") % 2 or selector.count('"') % 2:
        return "close its quotes"
    return None


if __name__ == "__main__":
    sys.exit(main())
