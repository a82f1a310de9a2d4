"""What exports of an archive share: its segments in order, copied as far as they are committed, and its index, sorted for its readers."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from msgspec import Struct

from crawler.archive.cdxj import filename_of, moved
from crawler.archive.segments import open_file, read_index, segments_of
from crawler.errors import HomeError, UsageError

Archives = list[tuple[Path, dict[str, int]]]
"""Folders with an archive, and the committed length of each of their files: several where a crawl had several processes."""

_CHUNK: Final = 1024 * 1024
_ROOM: Final = 64 * 1024 * 1024  # bytes of lines that are sorted at once; beyond, sorted runs lie in temporary files


class Segment(Struct, frozen=True):
    """A segment of an archive, and where its records are to be found in what is written."""

    folder: Path
    name: str
    length: int
    filename: str
    before: int = 0  # bytes of the file that come before the segment


def segments(archives: Archives, place: Callable[[int, str, int], tuple[str, int]]) -> list[Segment]:
    """Return all segments in order; `place` says where one goes by number of its folder, name and bytes of all before it.

    Raises UsageError when there is no archive; one without segments is that of a crawl to which nobody answered.
    """
    found: list[Segment] = []
    total = 0
    for number, (folder, files) in enumerate(archives):
        for name in segments_of(files):
            filename, before = place(number, name, total)
            found.append(Segment(folder, name, files[name], filename, before))
            total += files[name]
    if not archives:
        remedy = "one that is begun with an output .warc.gz or .wacz, or with store.archive = true, has one"
        raise UsageError(f"the crawl kept no archive: {remedy}")
    return found


def copy(segment: Segment, take: Callable[[bytes], object]) -> None:
    """Give the committed bytes of a segment to `take`, by and by. Raises HomeError when they are not there."""
    left = segment.length
    with open_file(segment.folder, segment.name) as file:
        while left > 0 and (data := file.read(min(left, _CHUNK))):
            take(data)
            left -= len(data)
    if left:
        raise HomeError(f"{segment.folder / segment.name}: {left} committed bytes are missing; the archive is damaged")


def index_lines(archives: Archives, placed: list[Segment], workplace: Path) -> Iterator[bytes]:
    """Yield the lines of the index for segments that are `placed`, sorted by their bytes; what memory does not hold lies in `workplace`."""
    return sorted_lines(_lines(archives, {(one.folder, one.name): one for one in placed}), workplace)


def _lines(archives: Archives, placed: dict[tuple[Path, str], Segment]) -> Iterator[bytes]:
    for folder, files in archives:
        for line in read_index(folder, files):
            segment = placed[folder, filename_of(line)]
            yield moved(line, by=segment.before, filename=segment.filename)


def sorted_lines(lines: Iterable[bytes], workplace: Path, room: int = _ROOM) -> Iterator[bytes]:
    """Yield `lines` sorted; at most about `room` bytes of them are in memory at once, the rest in files in `workplace`."""
    with ExitStack() as open_runs:
        runs: list[Iterable[bytes]] = []
        chunk: list[bytes] = []
        size = 0
        for line in lines:
            chunk.append(line)
            size += len(line)
            if size >= room:
                run = open_runs.enter_context(tempfile.TemporaryFile(dir=workplace))
                run.writelines(sorted(chunk))
                run.seek(0)
                runs.append(run)
                chunk, size = [], 0
        yield from heapq.merge(*runs, sorted(chunk))
