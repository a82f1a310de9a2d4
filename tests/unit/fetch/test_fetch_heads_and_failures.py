"""Heads as text, bodies up to a limit, exceptions as reasons: the pure parts of a fetch."""

from __future__ import annotations

import pytest
from OpenSSL import SSL
from twisted.internet import error
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived

from crawler.fetch.body import GatheredBody
from crawler.fetch.failures import MAX_DETAIL, BadAnswer, CannotConnect, HeadTooLarge, bounded, explain, explain_connect
from crawler.fetch.headers import MAX_HEADER_CHARACTERS, MAX_HEADERS, decode_headers, decode_value, media_type_accepted
from crawler.model import Reason


def test_names_in_lower_case_and_all_values_in_order() -> None:
    fields = [(b"Content-Type", b"text/html"), (b"X-A", b"1"), (b"Content-Length", b"3"), (b"x-a", b" 2\t")]
    assert decode_headers(fields) == [("content-type", "text/html"), ("x-a", "1"), ("content-length", "3"), ("x-a", "2")]


def test_the_number_of_fields_is_bounded() -> None:
    assert len(decode_headers([(b"X", b"y")] * 10_000)) == MAX_HEADERS


def test_the_size_of_all_fields_is_bounded() -> None:
    kept = decode_headers([(b"X", b"y" * 10_000)] * 100)
    assert 0 < sum(len(name) + len(value) for name, value in kept) <= MAX_HEADER_CHARACTERS


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"", ""),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "café"),
        (b"a\x00b\rc\nd\x1b[0m\x7f", "abcd[0m"),
        (b"tab\there", "tabhere"),
        (b"\x85\x9b", ""),
        (b"\xff\xfe", "ÿþ"),
    ],
)
def test_values(raw: bytes, text: str) -> None:
    assert decode_value(raw) == text


@pytest.mark.parametrize(
    ("content_type", "patterns", "accepted"),
    [
        (None, ["text/html"], True),
        ("", ["text/html"], True),
        ("text/html", [], True),
        ("text/html ; charset=x", ["text/html"], True),
        ("Text/HTML", ["TEXT/html"], True),
        ("text/htmlx", ["text/html"], False),
        ("image/png", ["image/*"], True),
        ("imagery/png", ["image/*"], False),
        ("anything", ["*/*"], True),
        ("application/json", ["text/html", "application/xhtml+xml"], False),
    ],
)
def test_media_types(content_type: str | None, patterns: list[str], accepted: bool) -> None:
    assert media_type_accepted(content_type, patterns) is accepted


def lost(*causes: Exception) -> ResponseFailed:
    return ResponseFailed([Failure(cause) for cause in causes])


@pytest.mark.parametrize(
    ("problem", "reason", "detail"),
    [
        (CannotConnect(Reason.DNS, "no such name"), Reason.DNS, "no such name"),
        (lost(error.ConnectionDone()), Reason.TRUNCATED, "closed before the end"),
        (lost(error.ConnectionLost()), Reason.TRUNCATED, "closed before the end: connection reset"),
        (ResponseNeverReceived([Failure(error.ConnectionDone())]), Reason.TRUNCATED, "closed without an answer"),
        (ResponseNeverReceived([Failure(error.ConnectionLost())]), Reason.TRUNCATED, "closed without an answer: connection reset"),
        (lost(lost(error.ConnectionDone())), Reason.TRUNCATED, "closed before the end"),
        (lost(BadAnswer("no status line")), Reason.BAD_HTTP, "no status line"),
        (lost(KeyError(b"br")), Reason.BAD_HTTP, "KeyError: b'br'"),
        (lost(AttributeError("'NoneType'")), Reason.BAD_HTTP, "AttributeError: 'NoneType'"),
        (lost(UnicodeDecodeError("ascii", b"\xff", 0, 1, "no")), Reason.BAD_HTTP, "UnicodeDecodeError"),
        (lost(HeadTooLarge("too large")), Reason.BAD_HTTP, "too large"),
        (lost(SSL.Error([("SSL routines", "f", "bad record mac")])), Reason.TLS, "bad record mac"),
    ],
)
def test_every_exception_has_a_reason(problem: Exception, reason: Reason, detail: str) -> None:
    got, told = explain(problem)
    assert got is reason
    assert told.startswith(detail)


@pytest.mark.parametrize(
    ("problem", "secure", "reason", "detail"),
    [
        (error.ConnectionRefusedError(111, "refused"), False, Reason.CONNECT, "connection refused"),
        (error.NoRouteError(113, "No route to host"), False, Reason.CONNECT, "No route to host"),
        (error.ConnectionLost(), False, Reason.CONNECT, "ConnectionLost"),
        (error.ConnectionLost(), True, Reason.TLS_HANDSHAKE, "the server closed the connection during the handshake"),
        (SSL.Error([("", "", "wrong version number")]), True, Reason.TLS_HANDSHAKE, "wrong version number"),
        (SSL.Error([]), True, Reason.TLS_HANDSHAKE, ""),
    ],
)
def test_connecting_fails_for_a_reason(problem: Exception, secure: bool, reason: Reason, detail: str) -> None:
    got, told = explain_connect(problem, secure=secure)
    assert got is reason
    assert detail in told


def test_details_are_one_bounded_printable_line() -> None:
    text = bounded("a\n\tb\x1b[31m" + "x" * 10_000)
    assert text.startswith("a b?[31mx")
    assert len(text) == MAX_DETAIL
    assert text.isprintable()


def test_a_body_is_gathered_and_let_go_of() -> None:
    ends: list[Failure] = []
    body = GatheredBody(ends.append)
    for piece in (b"abcd", b"", b"efghij"):
        body.dataReceived(piece)
    body.connectionLost(Failure(ResponseDone()))
    assert body.content() == b"abcdefghij"
    assert body.content() == b""
    assert [type(end.value) for end in ends] == [ResponseDone]
