"""Which library finds a page's main content: known without importing any of them, so that a crawl can refuse before it begins."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

_EXTRAS: Final = {"resiliparse": "text", "trafilatura": "article"}
"""The libraries, first choice first, and the extra of ours that installs each."""


def available(extractor: str) -> str | None:
    """Return None when `extractor` (as `config.Extractor`) can be used, else what is lacking and the remedy, in a line for users."""
    if chosen(extractor) is not None:
        return None
    if extractor == "auto":
        return "store.text needs a library that finds the main content of a page: pip install 'crawl[text]'"
    return f"store.extractor = {extractor!r}: {extractor} is not installed: pip install 'crawl[{_EXTRAS[extractor]}]'"


def chosen(extractor: str) -> str | None:
    """Return the name of the library that `extractor` stands for, None when it is not installed."""
    names = list(_EXTRAS) if extractor == "auto" else [extractor]
    return next((name for name in names if find_spec(name) is not None), None)
