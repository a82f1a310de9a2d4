"""Reads one answer from bytes, however they are cut: llhttp (by way of httptools) with limits, and no I/O.

- A head may be `MAX_HEAD` bytes long in all, informational answers (1xx) included, of which there may be `MAX_INTERIM`.
- llhttp reads strictly. A head it refuses is read again as browsers would read it (`repair`); after that, and after
  anything else that is odd, `reusable` is false: the connection is not used again. Surplus bytes are never an answer.
- llhttp's callbacks only take notes: whoever owns the reader looks at them when `feed` has returned.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from crawler.fetch.failures import BadAnswer, HeadTooLarge
from crawler.fetch.repair import Field, rewrite

MAX_HEAD: Final = 65536
"""Bytes of an answer before its body, all interim answers included."""

MAX_INTERIM: Final = 50
"""Informational answers before the real one."""

_FRAMING_ROOM: Final = 1024  # bytes of chunk framing in excess of:
_FRAMING_OF_A_CHUNK: Final = 64
_BLANK: Final = b"\r\n\r\n"


class _Stop(Exception):
    """Leaves llhttp from within a callback."""


class AnswerReader:
    """One answer to one request: `feed` it until `whole` or `problem`."""

    __slots__ = (
        "_chunks",
        "_clean",
        "_framing",
        "_head_only",
        "_head_room",
        "_interim",
        "_keep_head",
        "_odd",
        "_parser",
        "_received",
        "_trailers",
        "chunked",
        "fields",
        "head",
        "head_done",
        "length",
        "phrase",
        "pieces",
        "problem",
        "reusable",
        "status",
        "version",
        "whole",
    )

    def __init__(self, method: bytes = b"GET", *, keep_head: bool = False) -> None:
        """Take the method of the request: an answer to HEAD has no body (RFC 9112 section 6.3). `keep_head`: `head` is wanted."""
        self.status = 0
        self.phrase = b""
        self.version = "1.1"
        self.fields: list[Field] = []  # names in lower case
        self.head = b""  # as it came, without interim answers, with the empty line; only where it is wanted
        self.length: int | None = None  # of the body; None: not told beforehand
        self.chunked = False
        self.pieces: list[bytes] = []  # of the body; whoever takes them leaves an empty list
        self.head_done = False
        self.whole = False
        self.reusable = False
        self.problem: BadAnswer | HeadTooLarge | None = None
        self._head_only = method == b"HEAD"
        self._keep_head = keep_head
        self._head_room = MAX_HEAD
        self._received: list[bytes] = []  # up to the end of the head
        self._odd: bytearray | None = None  # the same once it is clear that llhttp does not read it
        self._clean = True
        self._interim = 0
        self._framing = 0  # bytes that came with a chunked body and are not its own
        self._chunks = 0
        self._trailers = 0
        self._parser: HttpResponseParser | None = HttpResponseParser(self)

    @property
    def started(self) -> bool:
        """Tell whether a byte has come in."""
        return self._head_room < MAX_HEAD

    @property
    def ends_by_close(self) -> bool:
        """Tell whether the end of the connection is the end of the body (RFC 9112 section 6.3, rule 8)."""
        return self.head_done and self.length is None and not self.chunked

    def feed(self, data: bytes) -> None:
        """Read on; never raises. What came after the answer's end makes `reusable` false, what comes after `problem` is ignored."""
        if self.problem is not None:
            return
        if self.head_done:
            self._feed_body(data)
        else:
            self._feed_head(data)
        if self.whole or self.problem is not None:
            self._parser = None  # which holds this reader

    def close(self) -> None:
        """Let go of the parser: nothing more will come."""
        self._parser = None

    # The head

    def _feed_head(self, data: bytes) -> None:
        room = self._head_room
        piece, rest = (data, b"") if len(data) <= room else (data[:room], data[room:])
        self._head_room = room - len(piece)
        if self._odd is not None:
            self._odd += piece
            self._read_odd()
        else:
            self._received.append(piece)
            self._run(piece)
        if self.head_done:
            self._after_head()
            if rest and self.problem is None:
                self._feed_body(rest)
        elif rest and self.problem is None:
            self.problem = HeadTooLarge(f"the answer's head is larger than {MAX_HEAD} bytes")

    def _run(self, data: bytes) -> None:
        """Give bytes to llhttp; it stops at the answer's end, or where something is wrong."""
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self.whole:
                self.reusable = self.reusable and self._head_only  # whose parser stops at the end of every head
            elif self.head_done:
                self.problem = BadAnswer(f"Chunked body: {error}")
            elif self.problem is None:
                self._refused(error)

    def _refused(self, error: Exception) -> None:
        """Read the head again, as browsers would, once it is there as a whole."""
        if self._clean:
            self._clean = False
            self._odd = bytearray().join(self._received)
            self._read_odd()
        else:
            self.problem = BadAnswer(str(error))  # not even when rewritten

    def _read_odd(self) -> None:
        assert self._odd is not None
        try:
            found = rewrite(self._odd)
        except BadAnswer as problem:
            self.problem = problem
            return
        if found is None:
            return
        self._parser = HttpResponseParser(self)
        self._interim = 0
        self._received = [found.head, found.rest]
        self.head = found.raw
        self.fields, self.phrase = [], b""
        self.length, self.chunked = None, False
        self._run(found.head)
        if self.head_done:
            self.fields = found.fields
            if found.rest and not self.whole:
                self._run(found.rest)

    def _after_head(self) -> None:
        if self._head_only and not b"".join(self._received[-4:]).endswith(_BLANK):
            self.reusable = False
        if self.chunked or self._keep_head:
            came = b"".join(self._received).lstrip(b"\r\n")
            begin = end = 0
            for _ in range(self._interim + 1):
                begin, end = end, came.find(_BLANK, end) + len(_BLANK)
            self.head = self.head or came[begin:end]
            if self.chunked:
                self._count_framing(len(came) - end)
        self._received = []
        self._odd = None

    # The body

    def _feed_body(self, data: bytes) -> None:
        if self.whole:
            self.reusable = False
            return
        pieces = len(self.pieces)
        self._run(data)
        if self.chunked:
            self._count_framing(len(data), pieces)

    def _count_framing(self, came: int, first: int = 0) -> None:
        """Bound what chunk sizes, their extensions and trailers may cost; judged when bytes have come in, not byte by byte."""
        self._framing += came - sum(map(len, self.pieces[first:]))
        if self.problem is None and self._framing > _FRAMING_ROOM + _FRAMING_OF_A_CHUNK * self._chunks + self._trailers:
            self.problem = BadAnswer("Chunked body: more framing than is taken")
            self.whole = False

    # What llhttp calls; nothing of the callers' runs in here

    def on_message_begin(self) -> None:
        """Stop at a second answer."""
        if self.whole:
            raise _Stop

    def on_status(self, text: bytes) -> None:
        """Note a part of the reason phrase."""
        self.phrase += text

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a field."""
        if not self.head_done:
            self.fields.append((name.lower(), value))
        elif self._trailers < MAX_HEAD:
            self._trailers += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        """Note how the body is framed; leave the parser where it cannot know what follows."""
        assert self._parser is not None
        status: int = self._parser.get_status_code()
        if 100 <= status < 200:
            self._begin_again(status)
            return
        if self._clean and not b"".join(self._received).lstrip(b"\r\n").startswith(b"HTTP/"):
            raise _Stop  # llhttp speaks RTSP and ICE too
        for name, value in self.fields:
            if name == b"content-length":
                self.length = int(value)
            elif name == b"transfer-encoding":
                self.chunked = True
                if value.strip().lower() != b"chunked":
                    raise _Stop
        self.status = status
        self.version = self._parser.get_http_version()
        if status in (204, 304) or self._head_only:
            self.length, self.chunked = 0, False
        self.head_done = True
        if self.chunked:  # some servers pad sizes with spaces, which can be read in one way only
            self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        if self._head_only:
            self.whole = True
            self.reusable = self._clean and self._parser.should_keep_alive()
            raise _Stop

    def _begin_again(self, status: int) -> None:
        """Forget an informational answer. It has no body, whatever it says (RFC 9110 section 15.2), but llhttp believes it."""
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in self.fields):
            raise _Stop
        self._interim += 1
        if status == 101:
            self.problem = BadAnswer("101: another protocol, which was not asked for")
        elif self._interim > MAX_INTERIM:
            self.problem = HeadTooLarge(f"the answer's head is larger than is taken: over {MAX_INTERIM} informational answers")
        if self.problem is not None:
            raise _Stop
        self.fields, self.phrase = [], b""

    def on_chunk_header(self) -> None:
        """Count a chunk."""
        self._chunks += 1

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        """Note the end, and whether the server keeps the connection open (RFC 9112 section 9.3)."""
        assert self._parser is not None
        if self.head_done:
            self.whole = True
            self.reusable = self._clean and self._parser.should_keep_alive()
