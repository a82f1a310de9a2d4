"""Broken links as JUnit XML, which CI services show: a suite for each page, a failed case for each of its broken links."""

from __future__ import annotations

import re
from typing import Final
from xml.sax.saxutils import quoteattr

from crawler.report.links import by_page
from crawler.report.model import BrokenLink, Links
from crawler.report.wording import why

_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_START: Final = "where the crawl began"
_PASSED: Final = "links lead somewhere"


def junit(links: Links, *, name: str, urls: int) -> str:
    """Return the test suites of a crawl called `name` that has seen `urls` URLs. One case passes if no link is broken."""
    pages = by_page(links)
    failures = sum(len(broken) for broken in pages.values())
    parts = ['<?xml version="1.0" encoding="UTF-8"?>']
    parts.append(f'<testsuites name={_attribute(name)} tests="{failures or 1}" failures="{failures}" errors="0">')
    for page, broken in pages.items():
        parts.append(
            f'  <testsuite name={_attribute(page or _START)} tests="{len(broken)}" failures="{len(broken)}" errors="0" skipped="0">'
        )
        parts += [_case(page, link) for link in broken]
        parts.append("  </testsuite>")
    if not pages:
        parts.append(f'  <testsuite name={_attribute(name)} tests="1" failures="0" errors="0" skipped="0">')
        parts.append(f'    <testcase classname={_attribute(name)} name="{_PASSED} ({urls} URLs)"/>')
        parts.append("  </testsuite>")
    return "\n".join([*parts, "</testsuites>", ""])


def _case(page: str, link: BrokenLink) -> str:
    said = _attribute(why(link))
    return (
        f"    <testcase classname={_attribute(page or _START)} name={_attribute(link.url)}>"
        f"<failure type={_attribute(link.reason)} message={said}/></testcase>"
    )


def _attribute(value: str) -> str:
    return quoteattr(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", value))
