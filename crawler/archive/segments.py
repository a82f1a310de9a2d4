"""The files of an archive: WARC segments, of which the one being written has a name of its own, and the index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from crawler.errors import HomeError

INDEX: Final = "index.cdxj"
OPEN: Final = ".open"
"""What ends the name of the segment that is being written."""

SEGMENT: Final = re.compile(r"crawl-(\d{5,})\.warc\.gz")


def segment_name(number: int) -> str:
    """Return the name of a segment that is whole."""
    return f"crawl-{number:05d}.warc.gz"


def segment_number(name: str) -> int:
    """Return the number of the segment `name`. Raises ValueError when it is none."""
    found = SEGMENT.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no segment's name")
    return int(found[1])


def segments_of(files: dict[str, int]) -> list[str]:
    """Return the names of the segments among an archive's files, in the order in which they were written."""
    return sorted((name for name in files if SEGMENT.fullmatch(name)), key=segment_number)


def open_file(folder: Path, name: str) -> BinaryIO:
    """Open a file of an archive for reading: a segment also while it is being written. Raises HomeError when it cannot be read."""
    problem: OSError | None = None
    for candidate in (name, name + OPEN, name):  # it may get its final name just now
        try:
            return (folder / candidate).open("rb")
        except FileNotFoundError as error:
            problem = error
        except OSError as error:
            problem = error
            break
    raise HomeError(f"{folder / name}: cannot be read: {problem.strerror if problem else ''}; the archive is damaged") from problem


def read_index(folder: Path, files: dict[str, int]) -> Iterator[bytes]:
    """Yield the committed lines of the index in an archive's `folder`. Raises HomeError when they are not there."""
    left = files.get(INDEX, 0)
    if not left:
        return
    with open_file(folder, INDEX) as index:
        while left > 0 and (line := index.readline(left)).endswith(b"\n"):
            left -= len(line)
            yield line
    if left:
        raise HomeError(f"{folder / INDEX}: {left} committed bytes are missing; the archive is damaged")
