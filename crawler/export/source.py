"""What exports read: a crawl's records, items and archive, as functions that begin anew at each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from crawler.model import Record


class Source(Struct, frozen=True):
    """The logs of one crawl, of however many processes. Each function may be called often; what it yields is committed."""

    records: Callable[[], Iterator[Record]]
    items: Callable[[str | None], Iterator[bytes]]  # lines of JSON, of one type or of all: {"type": …, "url": …, fields}
    item_fields: dict[str, list[str]]  # the fields that rules declare, by type of item, in their order
    archives: Callable[[], list[tuple[Path, dict[str, int]]]]  # folders with WARC segments; committed bytes by file name
    seeds: list[str]
