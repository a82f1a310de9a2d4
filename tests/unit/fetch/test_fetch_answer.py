"""Answers read from bytes: the same however they are cut, a value whatever they say, and never anybody else's."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sites.mangled import mangled

from crawler.fetch.answer import MAX_HEAD, MAX_INTERIM, AnswerReader
from crawler.fetch.failures import BadAnswer, HeadTooLarge
from crawler.fetch.repair import rewrite

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

ANSWERS = {
    "length": HEAD + b"Content-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
    "no body": HEAD + b"Content-Length: 0\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    "close": HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok",
    "until close": HEAD + b"X: y\r\n\r\nuntil the end",
    "http/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "chunks": CHUNKED + b"3\r\nabc\r\na;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
    "padded chunk sizes": CHUNKED + b"3   \r\nabc\r\n0 \r\n\r\n",
    "chunks and line feeds": b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\nT: x\n\n",
    "chunks with a line feed": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + b"1\r\na\r\n0\r\n\r\n",
    "hints with a length": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
    "hints with chunks": b"HTTP/1.1 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
    "hints with a body": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\nevil" + HEAD + b"Content-Length: 2\r\n\r\nok",
    "line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\nX: 1\n\nok",
    "hints and line feeds": b"HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "folded": HEAD + b"X: a\r\n  b\r\n\tc\r\nContent-Length: 2\r\n\r\nok",
    "controls": HEAD + b"X: a\x00b\x1b\r\nContent-Length: 2\r\n\r\nok",
    "equal lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 2, 2\r\n\r\nok",
    "length and chunks": HEAD + b"Content-Length: 99\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "identity": HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
    "http/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "surplus": HEAD + b"Content-Length: 2\r\n\r\nok" + HEAD + b"Content-Length: 4\r\n\r\nevil",
    "empty lines first": b"\r\n\r\n" + CHUNKED + b"1\r\na\r\n0\r\n\r\n",
    "bad chunk": CHUNKED + b"3\r\nabc\r\nzz\r\n",
    "chunk too long": CHUNKED + b"1\r\nabc\r\n0\r\n\r\n",
    "gzip, chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "huge length": HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\nab",
    "icy": b"ICY 200 OK\r\n\r\n",
    "rtsp": b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "status abc": b"HTTP/1.1 abc OK\r\n\r\n",
    "no colon": HEAD + b"nonsense\r\n\r\n",
    "space before colon": HEAD + b"Content-Length : 2\r\n\r\nok",
    "first indented": HEAD + b" X: 1\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxyz",
    "0.9": b"<html>hello</html>\r\n",
    "cut head": HEAD + b"Content-Le",
    "cut body": HEAD + b"Content-Length: 9\r\n\r\nhello",
    "cut chunk": CHUNKED + b"9\r\nhello",
}


def read(pieces: list[bytes], method: bytes = b"GET") -> AnswerReader:
    reader = AnswerReader(method)
    for piece in pieces:
        if reader.whole or reader.problem is not None:
            break
        reader.feed(piece)
    return reader


def told(reader: AnswerReader) -> tuple[Any, ...]:
    """What an owner of the reader would make of it; a problem's text and what the head said before it do not count."""
    head = (reader.status, reader.phrase, reader.version, reader.fields, reader.length, reader.chunked) if reader.head_done else None
    return head, b"".join(reader.pieces), reader.whole, type(reader.problem), reader.ends_by_close


@pytest.mark.parametrize("name", ANSWERS)
def test_cut_at_any_one_place(name: str) -> None:
    text = ANSWERS[name]
    expected = told(read([text]))
    for place in range(1, len(text)):
        assert told(read([text[:place], text[place:]])) == expected, place
    assert told(read([bytes([byte]) for byte in text])) == expected


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(ANSWERS)), cuts=st.sets(st.integers(1, 200), max_size=8))
def test_cut_anywhere(name: str, cuts: set[int]) -> None:
    text = ANSWERS[name]
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[begin:end] for begin, end in itertools.pairwise(places)]
    assert told(read(pieces)) == told(read([text]))


REUSABLE = {"padded chunk sizes", "length", "no body", "204", "304", "chunks", "hints", "no reason", "empty lines first"}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_connection_is_used_again_only_after_what_was_strictly_right(name: str) -> None:
    reader = read([ANSWERS[name]])
    assert (reader.whole and reader.reusable) is (name in REUSABLE)


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("length", 200, b"hello"),
        ("chunks", 200, b"abc0123456789"),
        ("padded chunk sizes", 200, b"abc"),
        ("hints", 200, b"a"),
        ("hints and line feeds", 200, b"ok"),
        ("hints with a length", 200, b"ok"),
        ("hints with chunks", 200, b"ok"),
        ("equal lengths", 200, b"ok"),
        ("length and chunks", 200, b"a"),
        ("identity", 200, b"ok"),
        ("http/1.2", 200, b"ok"),
        ("surplus", 200, b"ok"),
        ("304", 304, b""),
    ],
)
def test_what_is_read(name: str, status: int, body: bytes) -> None:
    reader = read([ANSWERS[name]])
    assert reader.whole
    assert (reader.status, b"".join(reader.pieces)) == (status, body)


def test_an_informational_answer_has_no_body() -> None:
    reader = read([ANSWERS["hints with a body"]])
    assert isinstance(reader.problem, BadAnswer)
    assert not reader.pieces


def test_how_the_body_ends_is_what_the_rewritten_head_says() -> None:
    reader = read([HEAD + b"Transfer-Encoding: identity\r\n\r\nuntil the end"])
    assert (reader.head_done, reader.chunked, reader.ends_by_close) == (True, False, True)
    assert b"".join(reader.pieces) == b"until the end"


def test_fields_are_those_of_the_answer_itself() -> None:
    assert read([ANSWERS["hints"]]).fields == [(b"transfer-encoding", b"chunked")]
    assert read([ANSWERS["folded"]]).fields == [(b"x", b"a b c"), (b"content-length", b"2")]
    assert read([ANSWERS["controls"]]).fields == [(b"x", b"ab"), (b"content-length", b"2")]
    assert read([HEAD + b"A:\r\nB: 1\r\n\r\n"]).fields == [(b"a", b""), (b"b", b"1")]


@pytest.mark.parametrize(
    ("answer", "reusable"),
    [
        (HEAD + b"Content-Length: 5\r\n\r\n", True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", True),
        (HEAD + b"\r\n", False),
        (HEAD + b"Content-Length: 5\r\nConnection: close\r\n\r\n", False),
        (HEAD + b"Content-Length: 5\r\n\r\nhello", False),
        (HEAD + b"Content-Length: 5\n\n", False),
    ],
)
def test_an_answer_to_head_has_no_body(answer: bytes, reusable: bool) -> None:
    for pieces in ([answer], [answer[:9], answer[9:]]):
        reader = read(pieces, b"HEAD")
        assert reader.whole
        assert (reader.length, reader.pieces, reader.reusable) == (0, [], reusable)


@pytest.mark.parametrize(
    ("method", "answer"),
    [(b"GET", ANSWERS["length"]), (b"GET", ANSWERS["204"]), (b"HEAD", HEAD + b"Content-Length: 5\r\n\r\n")],
)
def test_bytes_that_come_later_end_the_connections_use(method: bytes, answer: bytes) -> None:
    reader = AnswerReader(method)
    reader.feed(answer)
    assert reader.reusable
    reader.feed(b"H")
    assert reader.whole
    assert not reader.reusable


@pytest.mark.parametrize("piece", [1000, 8192, MAX_HEAD, 10 * MAX_HEAD])
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_heads_are_bounded_to_the_byte(piece: int, line_end: bytes) -> None:
    start = b"HTTP/1.1 200 OK" + line_end + b"X: "
    end = line_end + line_end
    for excess, problem in ((0, type(None)), (1, HeadTooLarge)):
        head = start + b"y" * (MAX_HEAD - len(start + end) + excess) + end
        reader = read([head[place : place + piece] for place in range(0, len(head), piece)])
        assert type(reader.problem) is problem
        assert reader.head_done is (excess == 0)


def test_informational_answers_are_bounded_in_number() -> None:
    hint = b"HTTP/1.1 103 E\r\n\r\n"
    assert read([hint * MAX_INTERIM + ANSWERS["length"]]).whole
    assert isinstance(read([hint * (MAX_INTERIM + 1) + ANSWERS["length"]]).problem, HeadTooLarge)


@pytest.mark.parametrize(
    "endless",
    [b"1;" + b"x" * 5000, b"0" * 5000, b"0\r\nT: " + b"x" * 5000, b"0\r\n" + b"T: x\r\n" * 30_000],
    ids=["extension", "size", "trailer", "trailers"],
)
@pytest.mark.parametrize("step", [100, 200_000])
def test_what_frames_chunks_is_bounded(endless: bytes, step: int) -> None:
    text = CHUNKED + endless
    reader = read([text[place : place + step] for place in range(0, len(text), step)])
    assert isinstance(reader.problem, BadAnswer)
    assert "Chunk" in str(reader.problem)


def test_many_small_chunks_are_no_problem() -> None:
    text = CHUNKED + b"1\r\na\r\n" * 20_000 + b"0\r\nT: x\r\n\r\n"
    for step in (1000, 65536, len(text)):
        reader = read([text[place : place + step] for place in range(0, len(text), step)])
        assert reader.whole
        assert len(b"".join(reader.pieces)) == 20_000


def test_heads_that_drip_cost_little() -> None:
    begun = time.process_time()
    for line in (b"HTTP/1.1 200 OK\n", HEAD):  # the first is collected to be rewritten
        reader = read([line, *([b"X: yyyy\r\n"[place : place + 1] for place in range(9)] * 3000)])
        assert not reader.head_done
        assert reader.problem is None
    assert time.process_time() - begun < 5


def test_any_bytes_are_a_value() -> None:
    """Answers changed, cut, doubled and glued: read in pieces, never an exception, and the time is bounded."""
    chance = random.Random(7)
    kinds = {"whole": 0, "problem": 0, "open": 0}
    begun = time.process_time()
    for _ in range(5000):
        text = mangled(chance, list(ANSWERS.values()))
        step = chance.choice((1, 7, 64, 100_000))
        reader = AnswerReader()
        for place in range(0, len(text), step):
            reader.feed(text[place : place + step])
            assert not (reader.whole and reader.problem)
        assert told(read([text])) == told(read([text[place : place + step] for place in range(0, len(text), step)])), (text, step)
        kinds["whole" if reader.whole else "problem" if reader.problem else "open"] += 1
        assert reader.problem is None or isinstance(reader.problem, BadAnswer | HeadTooLarge)
        assert reader.head_done or not reader.pieces
    assert min(kinds.values()) > 100, kinds
    assert time.process_time() - begun < 30


@given(st.binary(max_size=300))
def test_rewriting_any_bytes(text: bytes) -> None:
    for received in (text, b"HTTP/1.1 200 OK\n" + text + b"\n\n"):
        try:
            found = rewrite(received)
        except BadAnswer:
            continue
        if found is not None:
            assert found.head.endswith(b"\r\n\r\n")
            assert len(found.rest) < len(received)
            assert not any(b"\n" in name + value for name, value in found.fields)
