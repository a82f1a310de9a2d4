"""WARC: the segments of a crawl's archive as one file, with its index beside."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from crawler.export.places import new_file
from crawler.export.segments import Segment, copy, index_lines, segments
from crawler.export.source import Source

_EXTENSION: Final = ".warc.gz"


def write_warc(source: Source, target: Path) -> int:
    """Write the archive to `target`, and its CDXJ index to the file beside that ends in ``.cdxj``; return how many records it holds.

    WARC files may be put one after the other (WARC 1.1 section 4). It is a copy, not a link: what a later run of the crawl does to its
    own files is not to reach it. Raises UsageError when the crawl kept no archive, StoreError when the disk does not take it.
    """
    archives = source.archives()
    placed = segments(archives, lambda _number, _name, total: (target.name, total))
    with new_file(index_beside(target)) as index, new_file(target) as warc:
        with warc.open("wb") as file:
            for segment in placed:
                copy(segment, file.write)
        exchanges = 0
        with index.open("wb") as lines:
            for line in index_lines(archives, placed, target.parent):
                lines.write(line)
                exchanges += 1
    return _records(placed, exchanges)


def index_beside(target: Path) -> Path:
    """Return the name of the index of a WARC file: ``pages.cdxj`` of ``pages.warc.gz``."""
    name = target.name
    stem = name[: -len(_EXTENSION)] if name.lower().endswith(_EXTENSION) else name
    return target.with_name(f"{stem}.cdxj")


def _records(placed: list[Segment], exchanges: int) -> int:
    """Each segment begins with a warcinfo; each line of the index has a response or revisit, and the request that goes with it."""
    return len(placed) + 2 * exchanges
