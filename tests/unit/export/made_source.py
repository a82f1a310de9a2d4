"""A crawl's logs as a test says, for exports to read."""

from __future__ import annotations

import json
from typing import Any

from crawler.export.source import Source
from crawler.model import Outcome, Record, Via


def record(url: str = "http://a.example/", **values: Any) -> Record:
    known = dict.fromkeys(Record.__struct_fields__) | {"url": url, "outcome": Outcome.FETCHED, "depth": 1, "via": Via.LINK, "robots": []}
    known |= {"attempts": 1, "bytes": 10, "status": 200, "fetched_at": "2026-01-31T23:59:59.123Z"}
    return Record(**(known | values))  # type: ignore[arg-type]


def source(
    records: list[Record] | None = None, items: list[dict[str, Any]] | None = None, fields: dict[str, list[str]] | None = None
) -> Source:
    made = items or []

    def lines(item_type: str | None) -> Any:
        return (json.dumps(item).encode() + b"\n" for item in made if item_type in (None, item["type"]))

    return Source(
        records=lambda: iter(records or []),
        items=lines,
        item_fields=fields or {},
        archives=list,
        seeds=["http://a.example/"],
    )


BOOKS = [
    {
        "type": "book",
        "url": "http://a.example/1",
        "title": 'Ä, "b"',
        "price": 12.5,
        "pages": 100,
        "new": True,
        "tags": ["x", "y"],
        "extra": 1,
    },
    {"type": "author", "url": "http://a.example/1", "name": "Ann"},
    {"type": "book", "url": "http://a.example/1", "title": "=1+1", "price": 3, "pages": None, "new": False, "tags": [], "extra": "two"},
    {"type": "book", "url": "http://b.example/2", "title": "line\nbreak", "price": None, "pages": 2**62, "new": None, "tags": None},
]
FIELDS = {"book": ["title", "price", "pages", "new", "tags", "nothing"], "author": ["name"]}


def books() -> Source:
    records = [
        record("http://a.example/1", title="one", robots=["noindex", "nofollow"], headers={"server": "x"}, links=["http://b.example/2"]),
        record("http://b.example/2", title="two", text="Ünï \U0001f4da", simhash="00ff", fetched_at="2026-02-01T00:00:00.000Z"),
        record("http://b.example/3", outcome=Outcome.FAILED, status=None, fetched_at=None, bytes=None, detail="no address"),
    ]
    return source(records, BOOKS, FIELDS)
