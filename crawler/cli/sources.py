"""A crawl's logs as exports read them, whether one process made it or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from crawler.export.source import Source
from crawler.shards.reader import ShardsReader
from crawler.store.reader import HomeReader


class _Typed(Struct):
    type: str


_TYPE_OF = msgspec.json.Decoder(_Typed)


def source_of(reader: HomeReader | ShardsReader, outcomes: Sequence[str] = ()) -> Source:
    """Return the logs behind an open reader; of the records only those with one of `outcomes`, if any is given."""
    job = reader.job()
    rules = job.extraction.items if job.extraction is not None else {}

    def items(item_type: str | None) -> Iterator[bytes]:
        lines = reader.items()
        return lines if item_type is None else (line for line in lines if _TYPE_OF.decode(line).type == item_type)

    return Source(
        records=lambda: (record for record in reader.records() if not outcomes or record.outcome in outcomes),
        items=items,
        item_fields={name: list(rule.fields) for name, rule in rules.items()},
        archives=reader.archives,
        seeds=job.seeds,
    )
