"""CDXJ: the index of a crawl's archive by itself, sorted, pointing into the segments in the crawl's home."""

from __future__ import annotations

import os
from pathlib import Path

from crawler.export.places import new_file
from crawler.export.segments import index_lines, segments
from crawler.export.source import Source


def write_cdxj(source: Source, target: Path) -> int:
    """Write the sorted index to `target` and return its number of lines.

    Its file names are those of the segments; where the crawl had several processes, with the path below the crawl's home.
    Raises UsageError when the crawl kept no archive, StoreError when the disk does not take it.
    """
    archives = source.archives()
    above = Path(os.path.commonpath([folder for folder, _ in archives])) if len(archives) > 1 else None
    named = [folder.relative_to(above).as_posix() + "/" if above is not None else "" for folder, _ in archives]
    placed = segments(archives, lambda number, name, _total: (named[number] + name, 0))
    count = 0
    with new_file(target) as index, index.open("wb") as lines:
        for line in index_lines(archives, placed, target.parent):
            lines.write(line)
            count += 1
    return count
