"""The part of checking a job that needs a parser, in a process of its own."""

from __future__ import annotations

from typing import Final

from crawler.cli.programs import run_program
from crawler.errors import CrawlError
from crawler.extract.rules import Extraction, Problem

TIMEOUT: Final = 60.0
"""Seconds that a hook may take to be imported."""


def check_selectors(extraction: Extraction) -> list[Problem]:
    """Return what is wrong with the selectors of `extraction` and with its hook, which is imported; raises CrawlError."""
    import msgspec

    try:
        answer = run_program("check_selectors", msgspec.json.encode(extraction), timeout=TIMEOUT)
    except CrawlError as error:
        if extraction.hook is None:
            raise
        return [Problem("hook", f"cannot be loaded: {error}; look at what {extraction.hook} does when it is imported")]
    return msgspec.json.decode(answer, type=list[Problem])
