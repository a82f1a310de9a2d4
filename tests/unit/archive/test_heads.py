"""The head of an answer as it is archived: true of the bytes that are kept with it."""

from __future__ import annotations

import pytest

from crawler.archive.heads import archived_head

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
