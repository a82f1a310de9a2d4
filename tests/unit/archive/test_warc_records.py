"""WARC records as two independent readers, warcio and FastWARC, read them."""

from __future__ import annotations

import gzip
import hashlib
import io
from base64 import b32encode
from pathlib import Path

import fastwarc
import pytest
from sites.exchanges import heads, made_entry, read_warc, warcio_check

from crawler.archive.records import EMPTY, archived_exchange, payload_digest, revisit, truncation, warc_date, warcinfo
from crawler.model import Reason

URL = "http://a.test/page?x"


def digest(data: bytes) -> str:
    return "sha1:" + b32encode(hashlib.sha1(data).digest()).decode()


def test_an_exchange_is_a_response_and_the_request_that_goes_with_it() -> None:
    payload = b"<p>hello" * 1000
    head = b"HTTP/1.1 200 Fine indeed\r\nSERVER: x\r\nContent-Type: text/html\r\nset-cookie: a\r\nSet-Cookie: b\r\n\r\n"
    exchanged = heads(URL, head)
    made = archived_exchange(url=URL, ip="192.0.2.1", started_at=1_700_000_000.25, exchanged=exchanged, payload=payload)
    response, request = read_warc(made.response + made.request)
    assert (response.type, request.type) == ("response", "request")
    assert response.payload == payload
    assert made.payload == response.fields["WARC-Payload-Digest"] == digest(payload)
    assert response.fields["WARC-Block-Digest"] == digest(head + payload)
    assert response.http.to_str() == head.decode()[:-2]
    assert request.http.to_str() == exchanged.request.decode()[:-2]
    assert made.date == response.fields["WARC-Date"] == request.fields["WARC-Date"] == "2023-11-14T22:13:20.250000Z"
    assert made.id == response.fields["WARC-Record-ID"] == request.fields["WARC-Concurrent-To"] != request.fields["WARC-Record-ID"]
    for record in (response, request):
        assert record.fields["WARC-Target-URI"] == URL
        assert record.fields["WARC-IP-Address"] == "192.0.2.1"
        assert "WARC-Truncated" not in record.fields


def test_each_record_is_a_gzip_member_of_its_own_and_fastwarc_agrees() -> None:
    entry = made_entry(URL, b"x" * 100)
    info = warcinfo(filename="crawl-00000.warc.gz", software="Crawl/1", about=[("robots", "obey")], created_at=0.0)
    members = [info, entry.archived.response, entry.archived.request]
    for member in members:
        assert gzip.decompress(member).startswith(b"WARC/1.1\r\n")
        assert gzip.decompress(member).endswith(b"\r\n\r\n")
    found = list(fastwarc.ArchiveIterator(io.BytesIO(b"".join(members)), parse_http=False))
    places = [0, len(info), len(info) + len(entry.archived.response)]
    assert [record.stream_pos for record in fastwarc.ArchiveIterator(io.BytesIO(b"".join(members)))] == places
    assert len(found) == 3
    assert all(record.verify_block_digest() for record in fastwarc.ArchiveIterator(io.BytesIO(b"".join(members)), parse_http=False))
    assert read_warc(info)[0].payload.startswith(b"software: Crawl/1\r\nformat: WARC File Format 1.1\r\n")
    assert b"\r\nrobots: obey\r\n" in read_warc(info)[0].payload


def test_without_an_address_none_is_named() -> None:
    made = archived_exchange(url=URL, ip=None, started_at=0, exchanged=heads(URL, b"HTTP/1.1 204 No\r\n\r\n"), payload=b"")
    assert all("WARC-IP-Address" not in record.fields for record in read_warc(made.response + made.request))
    assert made.payload == EMPTY == payload_digest(b"")


@pytest.mark.parametrize(("reason", "word"), [(Reason.TOO_LARGE, "length"), (Reason.TIMEOUT, "time"), (Reason.TRUNCATED, "disconnect")])
def test_what_was_cut_short_says_why(reason: Reason, word: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 999\r\n\r\n"
    made = archived_exchange(url=URL, ip=None, started_at=0, exchanged=heads(URL, head), payload=b"begins", truncated=truncation(reason))
    response = read_warc(made.response)[0]
    assert response.fields["WARC-Truncated"] == word
    assert response.payload == b"begins"
    assert response.http.get_header("Content-Length") is None
    assert response.http.get_header("X-Crawl-Orig-Content-Length") == "999"


def test_other_early_ends_are_unspecified() -> None:
    assert {truncation(reason) for reason in Reason} == {"length", "time", "disconnect", "unspecified"}


def test_chunks_are_undone_and_the_coding_of_the_content_is_not() -> None:
    payload = gzip.compress(b"<p>hello")
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    made = archived_exchange(url=URL, ip=None, started_at=0, exchanged=heads(URL, head), payload=payload)
    record = next(iter(fastwarc.ArchiveIterator(io.BytesIO(made.response))))
    assert record.verify_payload_digest()
    assert read_warc(made.response)[0].payload == payload
    assert record.http_headers.get("Transfer-Encoding") is None
    assert record.http_headers.get("Content-Encoding") == "gzip"


def test_a_revisit_has_the_head_alone_and_names_the_first(tmp_path: Path) -> None:
    entry = made_entry(URL, b"same" * 50)
    again = revisit(
        url=URL,
        ip="127.0.0.1",
        head=entry.head,
        archived=entry.archived,
        refers_to_uri="http://a.test/",
        refers_to_date="2020-01-01T00:00:00Z",
    )
    path = tmp_path / "revisit.warc.gz"
    path.write_bytes(again + entry.archived.request)
    warcio_check(path)
    record, request = read_warc(path.read_bytes())
    assert record.fields["WARC-Profile"] == "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
    assert record.fields["WARC-Refers-To-Target-URI"] == "http://a.test/"
    assert record.fields["WARC-Refers-To-Date"] == "2020-01-01T00:00:00Z"
    assert record.fields["WARC-Payload-Digest"] == digest(b"same" * 50)
    assert record.fields["WARC-Record-ID"] == request.fields["WARC-Concurrent-To"]
    assert record.payload == b""
    assert record.http.get_header("Content-Length") == "200"
    block = gzip.decompress(again).partition(b"\r\n\r\n")[2].removesuffix(b"\r\n\r\n")
    assert block == entry.head
    assert record.fields["WARC-Block-Digest"] == digest(block)


def test_dates_are_utc_with_microseconds() -> None:
    assert warc_date(1_700_000_000.123456) == "2023-11-14T22:13:20.123456Z"
