"""WACZ 1.1.1: archive, index and list of pages in one ZIP file, which ReplayWeb.page and others show without unpacking it.

https://specs.webrecorder.net/wacz/1.1.1/. WARC files and the compressed index lie in the ZIP file as they are, so that a reader can ask a
server for the part it needs; the index is in blocks of gzip, with an index of its own (ZipNum).
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from msgspec import Struct

from crawler import __version__
from crawler.export.places import new_file
from crawler.export.segments import copy, index_lines, segments
from crawler.export.source import Source
from crawler.model import HTML_TYPES, Outcome, Record

VERSION: Final = "1.1.1"
_BLOCK: Final = 300  # lines of the index that are compressed together
_GZIP: Final = 31  # wbits
_ENCODE: Final = msgspec.json.Encoder().encode


class Resource(Struct, frozen=True):
    """A file of the package, as ``datapackage.json`` lists it (Data Package, version 1)."""

    name: str
    path: str
    hash: str
    bytes: int


def write_wacz(source: Source, target: Path) -> int:
    """Write the archive, its index and its pages to `target` and return the number of pages.

    Pages are the HTML documents that were fetched. Raises UsageError when the crawl kept no archive, StoreError when the disk does not
    take it.
    """
    archives = source.archives()
    several = len(archives) > 1
    placed = segments(archives, lambda number, name, _total: (f"{number}-{name}" if several else name, 0))
    with new_file(target) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        package = _Package(file)
        for segment in placed:
            with package.member(f"archive/{segment.filename}") as member:
                copy(segment, member.write)
        _write_index(package, index_lines(archives, placed, target.parent))
        with package.member("pages/pages.jsonl", zipfile.ZIP_DEFLATED) as member:
            count = _write_pages(member.write, source)
        package.close(source)
    return count


def _write_index(package: _Package, lines: Iterator[bytes]) -> None:
    """Write the index in blocks, and where each block begins."""
    blocks = [b'!meta 0 {"format": "cdxj-gzip-1.0", "filename": "index.cdx.gz"}\n']
    offset = 0
    with package.member("indexes/index.cdx.gz") as member:
        while block := list(islice(lines, _BLOCK)):
            data = zlib.compress(b"".join(block), wbits=_GZIP)
            member.write(data)
            where = {"offset": offset, "length": len(data), "digest": _named(hashlib.sha256(data)), "filename": "index.cdx.gz"}
            blocks.append(b"%b %b\n" % (block[0].partition(b" {")[0], _ENCODE(where)))
            offset += len(data)
    with package.member("indexes/index.idx", zipfile.ZIP_DEFLATED) as member:
        member.write(b"".join(blocks))


def _write_pages(write: Callable[[bytes], object], source: Source) -> int:
    write(_ENCODE({"format": "json-pages-1.0", "id": "pages", "title": "All pages"}) + b"\n")
    count = 0
    seeds = set(source.seeds)
    for record in _pages(source.records()):
        page: dict[str, Any] = {"id": f"page-{count}", "url": record.url, "ts": record.fetched_at, "title": record.title or record.url}
        page |= {"seed": True} if record.url in seeds else {}
        page |= {"text": record.text} if record.text else {}
        write(_ENCODE(page) + b"\n")
        count += 1
    return count


def _pages(records: Iterable[Record]) -> Iterator[Record]:
    return (record for record in records if record.outcome is Outcome.FETCHED and record.content_type in HTML_TYPES)


class _Package:
    """The ZIP file while it is written: every member is listed with its digest."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self._resources: list[Resource] = []

    def member(self, path: str, compression: int = zipfile.ZIP_STORED) -> _Member:
        """Return a new member to write to, which is listed when it is closed."""
        return _Member(self._open(path, compression), path, self._resources.append)

    def _open(self, path: str, compression: int = zipfile.ZIP_STORED) -> IO[bytes]:
        about = zipfile.ZipInfo(path, datetime.now(UTC).timetuple()[:6])
        about.compress_type = compression
        about.external_attr = 0o644 << 16
        return self._file.open(about, "w", force_zip64=True)

    def close(self, source: Source) -> None:
        """Write the list of members, and its own digest."""
        described = _ENCODE(_description(source, self._resources))
        digest = _ENCODE({"path": "datapackage.json", "hash": _named(hashlib.sha256(described))})
        for path, data in (("datapackage.json", described), ("datapackage-digest.json", digest)):
            with self._open(path) as file:
                file.write(data)


class _Member:
    """A member of the ZIP file that is being written."""

    def __init__(self, file: IO[bytes], path: str, done: Callable[[Resource], object]) -> None:
        self._file, self._path, self._done = file, path, done
        self._digest = hashlib.sha256()
        self._length = 0

    def write(self, data: bytes) -> None:
        """Write on."""
        self._file.write(data)
        self._digest.update(data)
        self._length += len(data)

    def __enter__(self) -> _Member:
        return self

    def __exit__(self, *_problem: object) -> None:
        self._file.close()
        name = self._path.rpartition("/")[2]
        self._done(Resource(name, self._path, _named(self._digest), self._length))


def _named(digest: Any) -> str:
    return f"sha256:{digest.hexdigest()}"


def _description(source: Source, resources: list[Resource]) -> dict[str, Any]:
    main = source.seeds[0] if source.seeds else None
    return {
        "profile": "data-package",
        "wacz_version": VERSION,
        "title": f"Crawl of {main}" if main else "Crawl",
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "software": f"Crawl/{__version__}",
        **({"mainPageUrl": main} if main else {}),
        "resources": resources,
    }
