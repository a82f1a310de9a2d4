"""A report, or broken links alone, as CSV (RFC 4180, with a header, lines ended by CR LF)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from crawler.report.model import Links, ReportModel
from crawler.report.wording import why

LINK_COLUMNS: Final = ("link", "reason", "status", "why", "redirects_to", "page")
REPORT_COLUMNS: Final = ("section", "name", "value", "status", "detail", "page")

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_Row = Sequence[str | int | None]


def links_csv(links: Links) -> str:
    """Return a row for each broken link on each page that holds it."""
    return _csv(LINK_COLUMNS, _link_rows(links))


def report_csv(model: ReportModel) -> str:
    """Return all of a report's parts in one table, told apart by the column ``section``."""
    return _csv(REPORT_COLUMNS, _report_rows(model))


def _link_rows(links: Links) -> Iterator[_Row]:
    for link in links.broken:
        for page in link.pages or [""]:
            yield link.url, link.reason, link.status, why(link), link.redirects_to, page


def _report_rows(model: ReportModel) -> Iterator[_Row]:
    about = model.about
    yield from (("seed", seed, None, None, None, None) for seed in about.seeds)
    for section, counts in (
        ("outcome", model.outcomes),
        ("reason", model.reasons),
        ("status", model.statuses),
        ("content_type", model.content_types),
        ("language", model.languages),
        ("refused", about.refused),
        ("item", about.items),
        ("fault", about.faults),
    ):
        yield from ((section, name, number, None, None, None) for name, number in counts.items())
    for link in model.links.broken:
        yield from (("broken_link", link.url, link.reason, link.status, why(link), page) for page in link.pages or [""])
    yield from (("redirect", found.chain[0], found.chain[-1], found.status, " > ".join(found.chain), None) for found in model.redirects)
    yield from (("slow_ms", page.url, page.elapsed_ms, None, page.title, None) for page in model.slowest)
    yield from (("large_bytes", page.url, page.bytes, None, page.title, None) for page in model.largest)
    for section, groups in (("copy", model.copies), ("near_copy", model.near or [])):
        yield from (
            (section, url, group.count, None, f"group {number}", None) for number, group in enumerate(groups, 1) for url in group.urls
        )
    for section, bins in (("depth", model.depths), ("size_bytes_from", model.sizes), ("time_ms_from", model.times)):
        yield from ((section, found.start, found.count, None, None, None) for found in bins)
    yield from (("host", host.name, host.urls, None, f"{host.fetched} fetched, {host.failed} failed", None) for host in model.hosts)
    yield from (("denied", url.url, url.reason, None, url.detail, url.referrer) for url in model.denied)


def _csv(columns: Sequence[str], rows: Iterable[_Row]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(columns)
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return stream.getvalue()


def _harmless(value: str | int | None) -> str | int | None:
    """Return text from the web so that no spreadsheet takes it for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
