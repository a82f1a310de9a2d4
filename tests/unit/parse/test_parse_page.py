import gzip
import hashlib

import pytest

from crawler.model import Kind, Reason
from crawler.parse.frames import Setup, ToParse
from crawler.parse.page import parse_page

SETUP = Setup(page_memory=1 << 29, max_decoded=1 << 20, max_links=100, recycle_after=10, agent_token="crawl")
HTML = "<!doctype html><html lang=de><meta charset=iso-8859-1><title>Grüße</title><a href=/x>".encode("cp1252")


def parse(body, content_type="text/html", encodings=(), kind=Kind.PAGE, **options):
    return parse_page(ToParse("http://h.example/", kind, content_type, list(encodings), body, **options), SETUP)


def test_a_page():
    parsed = parse(gzip.compress(HTML), encodings=["gzip"])
    assert (parsed.bytes, parsed.digest) == (len(HTML), hashlib.sha256(HTML).hexdigest())
    assert (parsed.charset, parsed.title, parsed.language, parsed.notes) == ("windows-1252", "Grüße", "de", [])
    assert [link.url for link in parsed.links] == ["http://h.example/x"]
    assert parsed.reason is None


@pytest.mark.parametrize(
    ("content_type", "body", "is_read"),
    [
        ("text/html", b"<a href=/x>", True),
        ("TEXT/HTML ; charset=utf-8", b"<a href=/x>", True),
        ("application/xhtml+xml", b'<html xmlns="http://www.w3.org/1999/xhtml"><a href="/x"/></html>', True),
        (None, b"\xef\xbb\xbf \n<!DOCTYPE HTML><a href=/x>", True),
        (None, b"<html><a href=/x>", True),
        ("", b"<!-- c --><a href=/x>", True),
        (None, b"plain text <a href=/x>", False),
        (None, b"<htmlx><a href=/x>", False),
        ("text/plain", b"<!doctype html><a href=/x>", False),
        ("application/octet-stream", b"<!doctype html><a href=/x>", False),
        ("application/xml", b"<urlset><url><loc>http://h.example/x</loc></url></urlset>", False),
        ("text/xml", b"<rss><channel><item><link>http://h.example/x</link></item></channel></rss>", False),
        ("application/pdf", b"%PDF-1.7", False),
    ],
)
def test_which_types_are_read(content_type, body, is_read):
    parsed = parse(body, content_type)
    assert [link.url for link in parsed.links] == (["http://h.example/x"] if is_read else [])
    assert (parsed.bytes, parsed.digest) == (len(body), hashlib.sha256(body).hexdigest())


def test_a_sitemap_is_one_because_it_was_fetched_as_one():
    body = b"<urlset><url><loc>http://h.example/x</loc></url></urlset>"
    for content_type in ("application/xml", "text/html", None, "application/x-gzip"):
        for data in (body, gzip.compress(body)):
            assert [link.url for link in parse(data, content_type, kind=Kind.SITEMAP).links] == ["http://h.example/x"]


def test_a_compressed_file_is_not_unpacked():
    body = gzip.compress(HTML)
    assert parse(body, "application/gzip").bytes == len(body)


def test_html_that_is_gzip_without_saying_so():
    parsed = parse(gzip.compress(HTML))
    assert (parsed.title, parsed.notes) == ("Grüße", ["gzip undeclared"])


def test_a_body_that_cannot_be_decoded():
    assert parse(b"\0\1\2\3", encodings=["br"]).reason is Reason.BAD_ENCODING
    assert parse(gzip.compress(bytes(1 << 21)), encodings=["gzip"]).reason is Reason.TOO_LARGE


def test_deviations_are_noted():
    assert parse("<title>ü</title>".encode(), "text/html").notes == ["charset from content"]
    assert parse(b"<title>\xff</title>", "text/html; charset=utf-8").notes == ["bytes that are not UTF-8"]
    assert parse(b"<title>ascii</title>", "text/html").notes == []
