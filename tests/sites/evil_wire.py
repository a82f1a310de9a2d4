"""Evil below the page: framing, heads, lengths, content codings, charsets. `evil_web.py` serves these cases."""

from __future__ import annotations

import codecs
import functools
import gzip
import zlib
from typing import Final

import brotli
from backports import zstd
from evil import Body, Case, Exchange, head, html_page, whole

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
PAGE: Final = html_page("A page", "/ok/linked")
CLOSE: Final = b"Connection: close\r\n"
FLOOD: Final = 64
OLD: Final = 10_000
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


def raw(*parts: bytes) -> Case:
    """An answer exactly as given."""

    def case(exchange: Exchange) -> Body:
        yield from parts

    return case


def page(extra: bytes = b"", body: bytes = PAGE) -> Case:
    """A good page with more header lines, each ended with CR LF."""
    return raw(OK + b"Content-Length: %d\r\n" % len(body) + CLOSE + extra + b"\r\n" + body)


def coded(coding: str, body: bytes, content_type: str = "text/html; charset=utf-8") -> Case:
    return raw(whole(200, body, content_type, f"Content-Encoding: {coding}\r\n"))


def chunk(size: bytes, data: bytes = b"<title>Chunk</title>") -> Case:
    return raw(OK + CHUNKED + CLOSE + b"\r\n" + size + b"\r\n" + data + b"\r\n0\r\n\r\n")


def drip_head(exchange: Exchange) -> Body:
    """A head that never ends, a byte at a time."""
    yield OK + b"X-Slow: "
    while exchange.patience:
        yield b"x"
        exchange.wait(0.2)


def hints(exchange: Exchange) -> Body:
    for _ in range(50):
        yield b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * 1000
    yield OK + b"Content-Length: 0\r\n\r\n"


def stall(exchange: Exchange) -> Body:
    exchange.wait(1e9)
    yield from ()


def many_headers(exchange: Exchange) -> Body:
    yield OK + b"".join(b"a:b\r\n" for _ in range(200_000)) + b"\r\n" + PAGE


def endless_chunks(exchange: Exchange) -> Body:
    yield OK + CHUNKED + CLOSE + b"\r\n"
    for _ in range(5000):
        yield b"8000\r\n" + bytes(0x8000) + b"\r\n"


def endless_parts(exchange: Exchange) -> Body:
    """A picture after another, as a camera sends them."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n" + CLOSE + b"\r\n"
    for _ in range(5000):
        yield b"--x\r\nContent-Type: image/jpeg\r\n\r\n" + bytes(0x8000) + b"\r\n"


def endless_film(exchange: Exchange) -> Body:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n" + CLOSE + b"\r\n"
    for _ in range(5000):
        yield bytes(0x8000)


def reset_in_head(exchange: Exchange) -> Body:
    yield OK + b"X-Half"
    exchange.wait(0.2)  # what was sent should arrive before the reset overtakes it
    exchange.reset()


def reset_at_the_end(exchange: Exchange) -> Body:
    """All of the body, then a reset instead of an orderly close."""
    yield OK + CLOSE + b"Content-Length: %d\r\n\r\n" % len(PAGE) + PAGE
    exchange.wait(0.2)
    exchange.reset()


def reset_for_an_end(exchange: Exchange) -> Body:
    """A body of unknown length that a reset ends: nobody knows whether it was whole."""
    yield OK + CLOSE + b"\r\n" + PAGE
    exchange.wait(0.2)
    exchange.reset()


def old(exchange: Exchange) -> Body:
    """HTTP/1.0 as it was: a connection for each page, ended by its close. `/old` itself lists the others."""
    body = html_page("Old", *(f"/old/{number}" for number in range(OLD))) if exchange.path == "/old" else PAGE
    yield OK.replace(b"1.1", b"1.0") + b"\r\n" + body


def flood(exchange: Exchange) -> Body:
    """A megabyte of text at once; `/flood` itself lists the others."""
    if exchange.path == "/flood":
        yield whole(200, html_page("Flood", *(f"/flood/{number}" for number in range(FLOOD))))
    else:
        yield whole(200, b"<title>Flood</title>" + b"<p>0123456789abcdef\n" * 50_000)


def keep_then_close(exchange: Exchange) -> Body:
    """Promise to keep the connection, and close it under the next request."""
    yield OK + b"Content-Length: %d\r\n\r\n" % len(PAGE) + PAGE
    exchange.wait(0.05)


def glued(exchange: Exchange) -> Body:
    """A second answer behind the first: it belongs to nobody."""
    answer = OK + b"Content-Length: %d\r\n\r\n" % len(PAGE) + PAGE
    yield answer + answer.replace(b"A page", b"Forged").replace(b"/ok/linked", b"/never/forged")


def bomb(coding: str, megabytes: int = 60) -> Case:
    """So many megabytes of blanks in few bytes."""

    def case(exchange: Exchange) -> Body:
        yield whole(200, packed_blanks(coding, megabytes), extra=f"Content-Encoding: {coding}\r\n")

    return case


@functools.cache
def packed_blanks(coding: str, megabytes: int) -> bytes:
    """Pack one megabyte of blanks and repeat what came of it, where the coding can be repeated."""
    blanks = b" " * 1_000_000
    if coding == "zstd":
        return zstd.ZstdCompressor().compress(blanks, zstd.ZstdCompressor.FLUSH_FRAME) * megabytes
    if coding == "deflate":
        packer = zlib.compressobj(1)
        first = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
        return first + (packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)) * (megabytes - 1)
    packer = brotli.Compressor(quality=1)
    return b"".join(packer.process(blanks) for _ in range(megabytes)) + packer.finish()


@functools.cache
def packed_thrice() -> bytes:
    return gzip.compress(gzip.compress(gzip.compress(bytes(1_000_000)) * 100))


def bomb_in_bomb(exchange: Exchange) -> Body:
    yield whole(200, packed_thrice(), extra="Content-Encoding: gzip, gzip, gzip\r\n")


def layers(count: int) -> Case:
    body = PAGE
    for _ in range(count):
        body = gzip.compress(body)
    return coded(", ".join(["gzip"] * count), body)


ZIPPED: Final = gzip.compress(PAGE * 50)
WINDOW_2_GB: Final = b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\x00\x00"  # a zstd frame that asks for a window of 2 GB; one empty block
TERMINAL: Final = "=cmd|'/C calc'!A0 \x1b[2J\x1b]0;owned\x07\x9b31m \u202egpj.exe\u2028\x00 \r\n<b>"


def terminal(exchange: Exchange) -> Body:
    """What a terminal, a spreadsheet, a line-based reader would act upon."""
    text = f'<title>{TERMINAL}</title><meta name=description content="@SUM(1+1)*\x1b[31m"><html lang="+1">'
    yield OK + b"X-Junk: \x1b[2J\x9b\x07\r\n" + CLOSE + b"\r\n" + text.encode()


CASES: Final[dict[str, Case]] = {
    "/nobytes": raw(),
    "/halfhead": raw(OK + b"X-Half"),
    "/resethead": reset_in_head,
    "/resetafter": reset_at_the_end,
    "/resetnolength": reset_for_an_end,
    "/chunkempty": chunk(b""),
    "/http2": raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)),
    "/endlessparts": endless_parts,
    "/film": endless_film,
    "/pdf": raw(head(200, "application/pdf", 50_000_000)),
    "/iso": raw(head(200, length=4 * 1024**3)),
    "/flood": flood,
    "/megacookie": page(b"Set-Cookie: a=" + b"v" * 1_000_000 + b"; Domain=.com\r\n"),
    "/etag1": page(b'ETag: "same"\r\n', html_page("First of one ETag")),
    "/etag2": page(b'ETag: "same"\r\n', html_page("Second of one ETag")),
    "/aes128gcm": coded("aes128gcm", b"\x00\x01\x02"),
    "/nolength": raw(OK + CLOSE + b"\r\n" + PAGE),
    "/twolengths": raw(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
    "/samelengths": page(b"Content-Length: %d\r\n" % len(PAGE)),
    "/lengthandchunked": raw(OK + b"Content-Length: 3\r\n" + CHUNKED + b"\r\n%x\r\n" % len(PAGE) + PAGE + b"\r\n0\r\n\r\n"),
    "/tegzip": raw(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "/teidentity": raw(OK + b"Transfer-Encoding: identity\r\n" + CLOSE + b"\r\n" + PAGE),
    "/chunkunderscore": chunk(b"0_2"),
    "/chunknegative": chunk(b"-14"),
    "/chunkhuge": chunk(b"1" + b"0" * 16),
    "/chunklongline": chunk(b"14;" + b"x" * 20_000),
    "/http09": raw(b"<title>HTTP/0.9</title>\r\n"),
    "/icy": raw(b"ICY 200 OK\r\n\r\nmusic"),
    "/statusabc": raw(b"HTTP/1.1 abc OK\r\n\r\n"),
    "/statusline": raw(b"HTTP/1.1\r\n\r\n"),
    "/status999": raw(b"HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n"),
    "/status299": raw(OK.replace(b"200 OK", b"299 Odd") + b"Content-Length: %d\r\n\r\n" % len(PAGE) + PAGE),
    "/status000": raw(b"HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n"),
    "/barelf": raw(b"HTTP/1.1 200 OK\nContent-Type: text/html\nConnection: close\n\n" + PAGE),
    "/noreason": raw(b"HTTP/1.1 200\r\nContent-Type: text/html\r\n" + CLOSE + b"\r\n" + PAGE),
    "/obsfold": page(b"X-Folded: one\r\n two\r\n"),
    "/nulheader": page(b"X-Nul: a\x00b\x1b[2Jc\r\n"),
    "/leadingspace": raw(b"HTTP/1.1 200 OK\r\n X: y\r\n\r\n" + PAGE),
    "/nocolon": page(b"nonsense\r\n"),
    "/spacename": page(b"X-Name : value\r\n"),
    "/longline": page(b"X-Long: " + b"v" * 20_000 + b"\r\n"),
    "/megaline": page(b"X-Long: " + b"v" * 1_000_000 + b"\r\n"),
    "/manyheaders": many_headers,
    "/hints": hints,
    "/onehint": raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + CLOSE + b"\r\n" + PAGE),
    "/hintlength": raw(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\n" + OK + CLOSE + b"\r\n" + PAGE),
    "/hintbody": raw(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello" + OK + CLOSE + b"\r\n" + PAGE),
    "/empty204": raw(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
    "/surprise304": raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    "/switch101": raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x00\x01"),
    "/glued": glued,
    **{f"/keep{number}": keep_then_close for number in range(5)},
    **{f"/oldhttp{number}": raw(OK.replace(b"1.1", b"1.0") + b"\r\n" + PAGE) for number in range(5)},
    "/driphead": drip_head,
    **{f"/stall{number}": stall for number in range(8)},
    "/hugelength": raw(head(200, length=10 * 1024**3)),
    "/endlesschunks": endless_chunks,
    "/brbomb": bomb("br"),
    "/zstdbomb": bomb("zstd"),
    "/deflatebomb": bomb("deflate"),
    "/nestedbomb": bomb_in_bomb,
    "/layers5": layers(5),
    "/layers20": layers(20),
    "/notgzip": coded("gzip", PAGE),
    "/undeclaredgzip": raw(whole(200, ZIPPED)),
    "/notrailer": coded("gzip", ZIPPED[:-8]),
    "/badcrc": coded("gzip", ZIPPED[:-8] + bytes(8)),
    "/gziptail": coded("gzip", ZIPPED + b"<p>plain garbage"),
    "/twomembers": coded("gzip", gzip.compress(b"<title>Two</title>") + gzip.compress(b"<a href=/ok/member>x</a>")),
    "/zstdwindow": coded("zstd", WINDOW_2_GB),
    "/brjunk": coded("br", b"\x11\xff\xff\xff" * 10),
    "/longcoding": coded("x" * 10_000, b"\x00\x01"),
    "/emptygzip": coded("gzip", b""),
    "/compress": coded("compress", b"\x1f\x9d\x90"),
    "/liar": raw(whole(200, codecs.BOM_UTF16_LE + "<title>Ünï</title><meta charset=gbk>".encode("utf-16-le"))),
    **{
        f"/charset-{label}": raw(whole(200, f"<title>{label}</title>".encode(), f"text/html; charset={label}"))
        for label in ("utf-7", "idna", "rot13", "zlib", "unicode_escape", "hz-gb-2312")
    },
    "/longcharset": raw(whole(200, PAGE, "text/html; charset=" + "u" * 50_000)),
    "/surrogates": raw(whole(200, b"<title>a&#xD800;\xed\xa0\x80b\x00c\xff</title>")),
    "/tencookies": page(b"".join(b"Set-Cookie: c%d=v; Domain=.com\r\n" % number for number in range(150))),
    "/manycookies": page(b"".join(b"Set-Cookie: c%d=v\r\n" % number for number in range(10_000))),
    "/disposition": page(b'Content-Disposition: attachment; filename="' + b"../" * 5_000 + b'\x00.exe"\r\n'),
    "/longtype": raw(whole(200, PAGE, "t" * 30_000)),
    "/bidi-type": raw(whole(200, PAGE, "text/\u202elmth\x1b[2J")),
    "/octet": raw(whole(200, html_page("Octet", "/never/octet"), "application/octet-stream")),
    "/olddate": page(b"Date: Thu, 01 Jan 9999 00:00:00 GMT\r\nAge: -1\r\nLast-Modified: x\r\nETag: \x00\r\n"),
    "/terminal": terminal,
    **{
        f"/later{number}": raw(whole(503, b"", extra=f"Retry-After: {value}\r\n"))
        for number, value in enumerate(
            [
                "0",
                "-1",
                "1e9",
                "9" * 5_000,
                "nan",
                "Fri, 31 Dec 9999 23:59:59 GMT",
                "Fri, 31 Dec 99999 99:99:99 +99999",
                "Mon, 01 Jan 1970 00:00:00 GMT",
                "garbage\x00",
                "30\r\nRetry-After: -30",
            ]
        )
    },
}
