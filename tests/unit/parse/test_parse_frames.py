import os
import socket
import struct
import threading

import msgspec
import pytest

from crawler.model import Kind, PageLink, Parsed, Reason
from crawler.parse import frames
from crawler.parse.frames import Answer, AnswerReader, FrameError, PageReader, Setup, ToParse


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


PAGE = ToParse("http://h.example/", Kind.SITEMAP, None, ["gzip", "br"], bytes(range(256)) * 400, False)
SETUP = Setup(page_memory=1, max_decoded=2, max_links=3, recycle_after=4, agent_token="crawl")


def test_pages_arrive_as_they_were_sent(pair):
    ours, theirs = pair
    ours.sendall(frames.setup_frame(SETUP))
    reader = PageReader(theirs)
    assert reader.setup() == SETUP
    empty = ToParse("http://h.example/e", Kind.PAGE, "text/html; charset=ä", [], b"")
    for page in (PAGE, empty):
        ours.sendall(b"".join(frames.page_frame(page)))
    assert reader.page() == PAGE
    assert reader.page() == empty


@pytest.mark.parametrize("step", [1000, 100_000, 10_000_000])
def test_pages_of_all_sizes_arrive_however_they_are_cut(pair, step):
    ours, theirs = pair
    sizes = [0, 10, 262_144 - 100, 262_144, 5, 1_000_000, 0, *[60_000] * 20, 262_145]
    pages = [ToParse(f"http://h.example/{size}", Kind.PAGE, None, [], os.urandom(size)) for size in sizes]
    stream = frames.setup_frame(SETUP) + b"".join(piece for page in pages for piece in frames.page_frame(page))

    def send():
        for start in range(0, len(stream), step):
            ours.sendall(stream[start : start + step])
        ours.close()

    sender = threading.Thread(target=send)
    sender.start()
    reader = PageReader(theirs)
    assert reader.setup() == SETUP
    assert [reader.page() for _ in sizes] == pages
    assert reader.page() is None
    sender.join()


@pytest.mark.parametrize("length", [0, 1, 7, 8, 20, 1000])
def test_the_end_of_the_stream_is_none_wherever_it_comes(pair, length):
    ours, theirs = pair
    ours.sendall(b"".join(frames.page_frame(PAGE))[:length])
    ours.close()
    assert PageReader(theirs).page() is None


@pytest.mark.parametrize("head", [(frames.MAX_HEADER + 1, 0), (1, frames.MAX_BODY + 1)])
def test_a_length_beyond_the_limit_is_refused_before_it_is_allocated(pair, head):
    ours, theirs = pair
    ours.sendall(struct.pack("!II", *head))
    with pytest.raises(FrameError):
        PageReader(theirs).page()


def test_a_header_beyond_the_limit_is_not_sent():
    with pytest.raises(FrameError):
        frames.page_frame(ToParse("http://h.example/", Kind.PAGE, "x" * (frames.MAX_HEADER + 1), [], b""))


def test_a_header_that_is_no_text_is_not_sent():
    with pytest.raises(FrameError):
        frames.page_frame(ToParse("http://h.example/", Kind.PAGE, "text/html; x=\ud800", [], b""))


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_answers_are_cut_out_of_any_stream(step):
    parsed = Parsed(title="ü", links=[PageLink(-5, "http://h.example/", True)], reason=Reason.PARSE)
    payload = msgspec.msgpack.encode(parsed)
    stream = (
        frames.answer_frame(Answer.READY) + frames.answer_frame(Answer.PARSED, payload) + frames.answer_frame(Answer.PARSED_LAST, payload)
    )
    reader = AnswerReader()
    answers = [answer for start in range(0, len(stream), step) for answer in reader.feed(stream[start : start + step])]
    assert answers == [(Answer.READY, b""), (Answer.PARSED, payload), (Answer.PARSED_LAST, payload)]
    assert msgspec.msgpack.decode(payload, type=Parsed) == parsed


@pytest.mark.parametrize("head", [struct.pack("!BI", 9, 0), struct.pack("!BI", 1, frames.MAX_ANSWER + 1), b"HTTP/1.1 200 OK"])
def test_a_broken_answer_is_refused(head):
    with pytest.raises(FrameError):
        list(AnswerReader().feed(head))
