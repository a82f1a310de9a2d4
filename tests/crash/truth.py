"""What records must say however often the crawl that wrote them was killed."""

from __future__ import annotations

import csv
import http.client
import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crawler.url import canonicalise

TIMES = {"fetched_at", "elapsed_ms"}
PATH_FOUND = {"depth", "via", "referrer"}
"""These tell the first path on which a URL was found, which depends on which answer came first: they are checked to be true instead."""

Record = dict[str, Any]


def comparable(records: Iterable[Record]) -> dict[str, Record]:
    """Return the records by URL without what two runs may differ in; a URL with two records fails."""
    found: dict[str, Record] = {}
    for record in records:
        assert record["url"] not in found, f"{record['url']} has two records"
        found[record["url"]] = {name: value for name, value in record.items() if name not in TIMES | PATH_FOUND}
    return found


def read_csv(path: Path) -> list[Record]:
    """Read a CSV output; a row with too few or too many cells fails."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert all(None not in row and None not in row.values() for row in rows)
    return rows


class Web:
    """The true links of a site, asked over one connection of the site, or of a twin that serves the same pages without delay."""

    def __init__(self, start: str, twin: str | None = None) -> None:
        self._start = start
        self._connection = http.client.HTTPConnection(urlsplit(twin or start).netloc, timeout=10)
        self._known: dict[str, tuple[bool, set[str]]] = {}

    def close(self) -> None:
        self._connection.close()

    def targets(self, url: str) -> tuple[bool, set[str]]:
        """Return whether `url` redirects, and the canonical URLs that it leads to."""
        if url not in self._known:
            self._connection.request("GET", urlsplit(url).path)
            answer = self._connection.getresponse()
            body = answer.read().decode()
            location = answer.getheader("Location")
            hrefs = [location] if location else re.findall(r'<a href="([^"]*)"', body)
            self._known[url] = location is not None, {found for href in hrefs if (found := canonicalise(href, url))}
        return self._known[url]

    def depths(self) -> dict[str, int]:
        """Return every URL that can be reached with its least depth: a link is a step, a redirect is none."""
        found = {self._start: 0}
        todo = deque([self._start])
        while todo:
            url = todo.popleft()
            redirects, targets = self.targets(url)
            for target in targets:
                depth = found[url] + (not redirects)
                if depth < found.get(target, 1 << 30):
                    found[target] = depth
                    todo.appendleft(target) if redirects else todo.append(target)
        return found

    def check_paths(self, records: Iterable[Record]) -> None:
        """Fail unless each record's referrer really leads to it, in the way and at the depth that it says."""
        shortest = self.depths()
        for record in records:
            url, via, depth, referrer = record["url"], record["via"], int(record["depth"]), record["referrer"] or None
            assert depth >= shortest[url], record
            if via == "seed":
                assert (url, depth, referrer) == (self._start, 0, None)
                continue
            assert referrer is not None, record
            redirects, targets = self.targets(referrer)
            assert url in targets, f"{referrer} does not lead to {url}"
            assert via == ("redirect" if redirects else "link"), record
