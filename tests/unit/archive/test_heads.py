"""The head of an answer as it is archived: true of the bytes that are kept with it."""

from __future__ import annotations

import io

import fastwarc
import pytest
from sites.exchanges import heads, read_warc

from crawler.archive.heads import archived_head
from crawler.archive.records import archived_exchange

CASES = [
    ("true length stays", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\n", 5, None),
    ("no length at all", b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", 5, None),
    ("encoding stays", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", 5, None),
    ("chunks are undone", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 5, [b"X-Crawl-Orig-transfer-encoding: chunked"]),
    (
        "chunks override a length",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        5,
        [b"X-Crawl-Orig-Content-Length: 5", b"X-Crawl-Orig-Transfer-Encoding: chunked"],
    ),
    ("cut short", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", 5, [b"X-Crawl-Orig-Content-Length: 500"]),
    ("bare line feeds", b"HTTP/1.1 200 OK\nContent-length : 500\n\n", 5, [b"X-Crawl-Orig-Content-length : 500"]),
    ("length of what a revisit leaves out", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", None, None),
    ("a value is no name", b"HTTP/1.1 200 OK\r\nX: Transfer-Encoding: chunked\r\n\r\n", 5, None),
]


@pytest.mark.parametrize(("head", "length", "renamed"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_only_what_is_not_true_is_renamed(head: bytes, length: int | None, renamed: list[bytes] | None) -> None:
    kept = archived_head(head, length)
    assert kept.replace(b"X-Crawl-Orig-", b"") == b"\r\n".join([*head.splitlines(), b""])
    assert [line for line in kept.splitlines() if line.startswith(b"X-Crawl-Orig-")] == (renamed or [])


ODD = [
    ("bare line feeds", b"HTTP/1.1 200 OK\nX: a\n\n", b"HTTP/1.1 200 OK\r\nX: a\r\n\r\n"),
    ("a folded line that is blank", b"HTTP/1.1 200 OK\r\nX: a\r\n \t\r\n b\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"),
    ("small letters", b"http/1.1 200 Fine\r\n\r\n", b"HTTP/1.1 200 Fine\r\n\r\n"),
    ("tabs and spaces", b"HTTP/1.0\t 404  Not there\r\n\r\n", b"HTTP/1.0 404 Not there\r\n\r\n"),
    ("no phrase", b"HTTP/1.1 200\r\n\r\n", b"HTTP/1.1 200\r\n\r\n"),
]


@pytest.mark.parametrize(("head", "kept"), [case[1:] for case in ODD], ids=[case[0] for case in ODD])
def test_what_browsers_put_up_with_is_written_so_that_all_readers_find_the_payload(head: bytes, kept: bytes) -> None:
    assert archived_head(head, 4) == kept
    made = archived_exchange(url="http://a.test/", ip=None, started_at=0, exchanged=heads("http://a.test/", head), payload=b"body")
    (record,) = read_warc(made.response)
    assert (record.http.get_statuscode(), record.payload) == (kept[9:12].decode(), b"body")
    found = [(one.http_headers.status_code, one.verify_payload_digest()) for one in fastwarc.ArchiveIterator(io.BytesIO(made.response))]
    assert found == [(int(kept[9:12]), True)]
