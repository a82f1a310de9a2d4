"""Rules that never come to an end, as regular expressions can: ``crawl try`` ends them and says so."""

from __future__ import annotations

import pytest

from crawler.cli import try_
from crawler.cli.one_page import OnePage
from crawler.errors import CrawlError
from crawler.extract.rules import Extraction, ItemRule


def test_rules_that_do_not_end_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(try_, "TRY_TIME", 2.0)
    rules = Extraction(items={"a": ItemRule(fields={"t": {"css": "h1", "regex": "^(a+)+$"}})})
    with pytest.raises(CrawlError, match=r"try rules: took more than 2 s and was ended"):
        try_._apply(rules, OnePage("http://h.example/", b"<h1>" + b"a" * 60 + b"!</h1>", None))
