"""Exchanges as a crawl makes them, for archives: no network, the bytes that a server would have sent."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from warcio.archiveiterator import ArchiveIterator

from crawler.archive.records import archived_exchange
from crawler.model import Exchanged
from crawler.store.archive import ArchiveEntry

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


def heads(url: str, response: bytes) -> Exchanged:
    host, _, path = url.partition("://")[2].partition("/")
    return Exchanged(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Crawl/0\r\n\r\n".encode(), response)


def made_entry(url: str, payload: bytes, *, status: int = 200, truncated: str | None = None, at: float = 1_700_000_000.25) -> ArchiveEntry:
    head = b"HTTP/1.1 %d Any\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % (status, len(payload))
    exchanged = heads(url, head)
    archived = archived_exchange(url=url, ip="127.0.0.1", started_at=at, exchanged=exchanged, payload=payload, truncated=truncated)
    return ArchiveEntry(url, "127.0.0.1", status, "text/html", head, archived, truncated is None)


class Read:
    """A record as warcio reads it."""

    def __init__(self, record: object) -> None:
        self.type = record.rec_type
        self.fields = dict(record.rec_headers.headers)
        self.http = record.http_headers
        self.payload = record.raw_stream.read()
        self.decoded = None
        self.digest_checker = record.digest_checker


def read_warc(data: bytes) -> list[Read]:
    """Return all records as warcio reads them; it raises when a digest is wrong or the file is not record by record."""
    return [Read(record) for record in ArchiveIterator(io.BytesIO(data), check_digests="raise")]


def warcio_check(*paths: Path) -> str:
    """Run ``warcio check``, which fails when a digest is wrong, and return what it says."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "warcio.cli", "check", "-v", *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
