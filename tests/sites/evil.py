"""A small evil web on loopback: one path for each way of going wrong, and good pages between them.

    python tests/sites/evil.py --port 0 --good 20

The index page links to every case and to every good page, so that a crawl of it meets them all. The port is printed on standard
output. Whatever has no end by itself (`/hang`, `/drip`, `/endless`) ends after `--patience` seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import signal
import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PATIENCE = 60.0  # seconds
HTML = "text/html; charset=utf-8"
TLS_HANDSHAKE = 0x16  # the first byte of a ClientHello
LARGE = 64 * 1024 * 1024  # bytes of /toolarge, above any limit a test sets

Body = Iterator[bytes]
Case = Callable[["Exchange"], Body]


class Exchange:
    """One request and the socket it came on. What a case yields is written; it may also pull the connection from below."""

    def __init__(self, sock: socket.socket, path: str, patience: float, good: int) -> None:
        self.sock, self.path, self.patience, self.good = sock, path, patience, good

    def wait(self, seconds: float) -> None:
        time.sleep(min(seconds, self.patience))

    def reset(self) -> None:
        """Make the coming close send RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def head(status: int, content_type: str = HTML, length: int | None = None, extra: str = "") -> bytes:
    """Return an answer's head; `extra` is header lines, each ended with CR LF."""
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n{size}Connection: close\r\n{extra}\r\n".encode()


def whole(status: int, body: bytes, content_type: str = HTML, extra: str = "") -> bytes:
    return head(status, content_type, len(body), extra) + body


def html_page(title: str, *hrefs: str) -> bytes:
    links = "".join(f'<li><a href="{href}">{href}</a></li>\n' for href in hrefs)
    return f"<!doctype html><title>{title}</title><ul>\n{links}</ul>\n".encode()


def index(exchange: Exchange) -> Body:
    """Good pages between the others, so that no long row of failures comes from one host."""
    bad = [path for path in CASES if path not in ("/", "/robots.txt")]
    good = [f"/good/{number}" for number in range(exchange.good)]
    mixed = [path for pair in itertools.zip_longest(bad, good) for path in pair if path]
    yield whole(200, html_page("Index", *mixed))


def good_page(exchange: Exchange) -> Body:
    yield whole(200, html_page(f"Good page {exchange.path}", "/"))


def robots(exchange: Exchange) -> Body:
    yield whole(200, b"User-agent: *\nDisallow: /forbidden\n", "text/plain")


def spin(exchange: Exchange) -> Body:
    """Nesting that keeps an HTML5 tree builder busy far beyond any time limit."""
    yield whole(200, b"<!doctype html><title>Spin</title>" + b"<div>" * 200_000 + b'<a href="/good/0">end</a>')


def heavy(exchange: Exchange) -> Body:
    """20 MB of the smallest elements: the tree takes many times the text."""
    yield whole(200, gzip.compress(b"<!doctype html><title>Heavy</title>" + b"<b>x</b>" * 2_500_000, 1), extra="Content-Encoding: gzip\r\n")


def bomb(exchange: Exchange) -> Body:
    """A gzip bomb of 200 members: 200 kB that unpack to 200 MB."""
    yield whole(200, gzip.compress(b" " * 1_000_000) * 200, extra="Content-Encoding: gzip\r\n")


def bad_gzip(exchange: Exchange) -> Body:
    packed = bytearray(gzip.compress(html_page("Corrupt", "/good/0") * 200))
    packed[12:60] = bytes(48)
    yield whole(200, bytes(packed), extra="Content-Encoding: gzip\r\n")


def unknown_encoding(exchange: Exchange) -> Body:
    yield whole(200, b"\x00\x01\x02", extra="Content-Encoding: rot13\r\n")


def hang(exchange: Exchange) -> Body:
    exchange.wait(1e9)
    yield from ()


def hang_in_body(exchange: Exchange) -> Body:
    yield head(200, length=1000) + b"<title>Half"
    exchange.wait(1e9)


def drip(exchange: Exchange) -> Body:
    """A byte every half second: never idle, never done."""
    yield head(200, length=1_000_000)
    end = time.monotonic() + exchange.patience
    while time.monotonic() < end:
        yield b"x"
        exchange.wait(0.5)


def endless(exchange: Exchange) -> Body:
    yield head(200)
    end = time.monotonic() + exchange.patience
    while time.monotonic() < end:
        yield b"<p>and on</p>" * 5000


def too_large(exchange: Exchange) -> Body:
    yield head(200, length=LARGE)
    yield from (bytes(65536) for _ in range(LARGE // 65536))


def reset(exchange: Exchange) -> Body:
    exchange.reset()
    yield from ()


def reset_in_body(exchange: Exchange) -> Body:
    yield head(200, length=1000) + b"<title>Half"
    exchange.wait(0.2)  # the head should arrive before the reset overtakes it
    exchange.reset()


def short(exchange: Exchange) -> Body:
    yield head(200, length=1000) + html_page("Short", "/good/0")


def bad_chunk(exchange: Exchange) -> Body:
    yield head(200, extra="Transfer-Encoding: chunked\r\n") + b"5\r\nhello\r\nzz\r\nworld\r\n0\r\n\r\n"


def cut_chunk(exchange: Exchange) -> Body:
    yield head(200, extra="Transfer-Encoding: chunked\r\n") + b"5\r\nhello\r\n"


def not_http(exchange: Exchange) -> Body:
    yield b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"


def bad_header(exchange: Exchange) -> Body:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n: no name\r\nno colon\r\n\r\n<title>x</title>"


def header_flood(exchange: Exchange) -> Body:
    yield b"HTTP/1.1 200 OK\r\n"
    yield from (b"X-%d: %s\r\n" % (number, b"v" * 100) for number in range(20_000))
    yield b"\r\n"


def status_page(exchange: Exchange) -> Body:
    status = int(exchange.path[1:4])
    yield whole(status, html_page(f"Status {status}"), extra="Retry-After: 1\r\n" if status in (429, 503) else "")


def redirect_loop(exchange: Exchange) -> Body:
    yield whole(302, b"", extra="Location: /loop/2\r\n" if exchange.path == "/loop" else "Location: /loop\r\n")


def redirect_counting(exchange: Exchange) -> Body:
    """A redirect to ever another URL: only a limit of hops ends it."""
    number = exchange.path.rpartition("/")[2]
    yield whole(302, b"", extra=f"Location: /count/{int(number) + 1 if number.isdigit() else 1}\r\n")


def bad_redirect(exchange: Exchange) -> Body:
    yield whole(302, b"", extra="Location: http://[not-an-address/\r\n")


def redirect_nowhere(exchange: Exchange) -> Body:
    yield whole(302, b"")


def redirect_file(exchange: Exchange) -> Body:
    yield whole(302, b"", extra="Location: file:///etc/passwd\r\n")


def redirect_private(exchange: Exchange) -> Body:
    yield whole(302, b"", extra="Location: http://169.254.169.254/latest/meta-data/\r\n")


def refresh_loop(exchange: Exchange) -> Body:
    yield whole(200, b'<!doctype html><title>Again</title><meta http-equiv="refresh" content="0; url=/refresh">')


def many_links(exchange: Exchange) -> Body:
    """A page of 30 000 links, to pages that all exist not."""
    yield whole(200, html_page("Many", *(f"/404/many/{number}" for number in range(30_000))))


def binary(exchange: Exchange) -> Body:
    yield whole(200, bytes(range(256)) * 400)


def forbidden(exchange: Exchange) -> Body:
    yield whole(200, html_page("Nobody should see this"))


CASES: dict[str, Case] = {
    "/": index,
    "/robots.txt": robots,
    "/spin": spin,
    "/heavy": heavy,
    "/bomb.gz": bomb,
    "/badgzip": bad_gzip,
    "/rot13": unknown_encoding,
    "/hang": hang,
    "/hangbody": hang_in_body,
    "/drip": drip,
    "/endless": endless,
    "/toolarge": too_large,
    "/reset": reset,
    "/resetbody": reset_in_body,
    "/short": short,
    "/badchunk": bad_chunk,
    "/cutchunk": cut_chunk,
    "/nothttp": not_http,
    "/badheader": bad_header,
    "/headerflood": header_flood,
    "/404": status_page,
    "/410": status_page,
    "/429": status_page,
    "/500": status_page,
    "/503": status_page,
    "/loop": redirect_loop,
    "/count": redirect_counting,
    "/badredirect": bad_redirect,
    "/redirectnowhere": redirect_nowhere,
    "/redirectfile": redirect_file,
    "/redirectprivate": redirect_private,
    "/refresh": refresh_loop,
    "/manylinks": many_links,
    "/binary": binary,
    "/forbidden": forbidden,
}
"""Every case by its path; what follows a further slash belongs to the same case (`/loop/2`, `/404/many/7`)."""


def case_of(path: str) -> Case:
    first = "/" + path[1:].partition("/")[0].partition("?")[0]
    if first == "/good":
        return good_page
    return CASES.get(path) or CASES.get(first) or CASES["/404"]


class Handler(socketserver.BaseRequestHandler):
    """One connection, one request, one answer."""

    server: EvilServer

    def handle(self) -> None:
        received = b""
        with contextlib.suppress(OSError):
            self.request.settimeout(self.server.patience)
            while b"\r\n\r\n" not in received:
                chunk = self.request.recv(65536)
                if not chunk or len(received) > 65536:
                    return
                received += chunk
                if received[0] == TLS_HANDSHAKE:
                    self.request.sendall(whole(400, b"This is plain HTTP\n", "text/plain"))
                    return
            words = received.split(b" ", 2)
            if len(words) == 3:
                self._answer(words[1].decode("latin-1"))

    def _answer(self, path: str) -> None:
        arrived = time.monotonic()
        exchange = Exchange(self.request, path, self.server.patience, self.server.good)
        case = case_of(path)
        if case is status_page and path[1:4] not in ("404", "410", "429", "500", "503"):
            exchange.path = "/404"
        try:
            for part in case(exchange):
                self.request.sendall(part)
        finally:
            self.server.note(arrived, path)


class EvilServer(socketserver.ThreadingTCPServer):
    """A thread for each connection, which dies with the process."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, log: Path, patience: float, good: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.patience, self.good = patience, good
        self._log = log.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def note(self, arrived: float, path: str) -> None:
        """Log a request that has ended, in the form of sites/loopback.py; in-flight and status are not known here."""
        with self._lock:
            self._log.write(f"{arrived:.6f} {time.monotonic():.6f} 127.0.0.1 0 0 {path}\n")

    def shutdown_request(self, request: object) -> None:
        """Close, and no more: a FIN of its own would come before the reset that a case has asked for."""
        self.close_request(request)  # type: ignore[arg-type]

    def handle_error(self, *_: object) -> None:
        """A client that goes away in the middle is what these cases are for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("/dev/null"))
    parser.add_argument("--good", type=int, default=20, help="number of good pages")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds after which even the endless ends")
    options = parser.parse_args()
    server = EvilServer(options.port, options.log, options.patience, options.good)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(server.server_address[1], flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
