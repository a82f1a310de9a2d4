"""A larger evil web: every case of `evil_wire` and `evil_pages` on 127.0.0.1, and a host for each evil robots.txt from 127.0.0.2 on.

    python tests/sites/evil_web.py --port 0 --private 9999

`--private` is a port of this machine that cases try to lure a crawler to.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Final

import evil
import evil_pages
import evil_wire
from evil import Body, Case, Exchange, head, html_page, whole
from evil_pages import private_port, redirect
from evil_wire import bomb, raw

GOOD: Final = 100


def robots(text: str | bytes, extra: str = "") -> Case:
    body = text.encode() if isinstance(text, str) else text
    return raw(whole(200, body, "text/plain", extra))


def too_long(exchange: Exchange) -> Body:
    yield head(200, "text/plain")
    yield from (b"User-agent: *\nDisallow: /no\n" * 4000 for _ in range(900))


def hang(exchange: Exchange) -> Body:
    exchange.wait(1e9)
    yield from ()


def reset(exchange: Exchange) -> Body:
    exchange.reset()
    yield from ()


def wildcards() -> bytes:
    return b"User-agent: *\n" + b"".join(b"Disallow: /" + b"*a" * 100 + b"%d\n" % number for number in range(2_000)) + b"Disallow: /no\n"


def status(code: int) -> Case:
    return raw(whole(code, b"", "text/plain", "Retry-After: 9999999999\r\n"))


def lists_sitemaps(exchange: Exchange) -> Body:
    own = [f"Sitemap: {path}" for path in SITEMAPS]
    own += [f"Sitemap: http://127.0.0.1:{private_port(exchange)}/private/400", "Sitemap: file:///etc/passwd", "Sitemap: javascript:x"]
    yield whole(200, "\n".join(own).encode(), "text/plain")


ROBOTS: Final[list[Case]] = [  # of 127.0.0.2, 127.0.0.3 and so on; the test's table has the same order
    too_long,
    robots(b"\xff" * 600_000),
    robots(b"\xef\xbb\xbfUser-agent: *\nDisallow: /no\n"),
    redirect("/robots.txt?again"),
    status(503),
    status(429),
    status(404),
    reset,
    hang,
    robots("<!doctype html><title>Disallow: /</title>"),
    robots(bytes(range(256)) * 1000),
    robots("\ufeffUser-agent: *\nDisallow: /no\n".encode("utf-16-le")),
    robots("User-agent: *\rDisallow: /no\r"),
    robots("User-agent: *\n\0Disallow: /n\0o\n"),
    robots("User-agent: *\nCrawl-delay: 1000000000\nCrawl-delay: nan\nCrawl-delay: -1\nDisallow: /no"),
    redirect("http://127.1:PRIVATE/private/401"),
    redirect("file:///etc/passwd"),
    bomb("zstd", 50),
    robots(wildcards()),
    robots("x" * 1_000_000 + "\nUser-agent: *\nDisallow: /"),
    robots(b"\r" * 400_000 + b"\nUser-agent: *\nDisallow: /no\n"),
    robots("\n".join(f"Disallow: /{number:x}$" for number in range(30_000)).join(["User-agent: *\n", "\nDisallow: /no"])),
    lists_sitemaps,
    robots("".join(f"Sitemap: /map{number:05}\n" for number in range(100_000))),
]

URLSET: Final = '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'


def entries(*locs: str) -> str:
    return URLSET + "".join(f"<url><loc>{loc}</loc><lastmod>9999-99-99</lastmod></url>" for loc in locs) + "</urlset>"


def xml(text: str) -> Case:
    return raw(whole(200, text.encode(), "application/xml"))


def self_index(exchange: Exchange) -> Body:
    """An index of itself, and of another one below, each time."""
    number = next(_indexes)
    locs = "".join(f"<sitemap><loc>{loc}</loc></sitemap>" for loc in ("/index.xml", f"/index.xml?{number}"))
    yield whole(200, f"<sitemapindex>{locs}</sitemapindex>".encode(), "text/xml")


def elsewhere(exchange: Exchange) -> Body:
    """An entry on another host."""
    yield whole(200, entries(f"http://127.0.0.1:{exchange.sock.getsockname()[1]}/ok/elsewhere").encode(), "application/xml")


_indexes = itertools.count()
LOLS: Final = '<!DOCTYPE l [<!ENTITY a "lol">' + "".join(
    f'<!ENTITY {chr(98 + depth)} "{f"&{chr(97 + depth)};" * 10}">' for depth in range(9)
)
SITEMAPS: Final[dict[str, Case]] = {
    "/lols.xml": xml(f"{LOLS}]>{entries('http://127.0.0.24/&j;', '/ok/lols')}"),
    "/quadratic.xml": xml(f'<!DOCTYPE l [<!ENTITY a "{"a" * 50_000}">]><urlset><url><loc>/{"&a;" * 50_000}</loc></url></urlset>'),
    "/external.xml": xml(f'<!DOCTYPE l SYSTEM "/never/dtd" [<!ENTITY f SYSTEM "file:///etc/passwd">]>{entries("/ok/external?&f;")}'),
    "/bomb.xml": bomb("deflate", 100),
    "/index.xml": self_index,
    "/large.xml": raw(whole(200, gzip.compress(entries(*(f"/many/{number}" for number in range(60_000))).encode()), "application/gzip")),
    "/cut.xml": xml(entries("/ok/whole", "/never/cut")[:-60]),
    "/wrong.xml": xml('<?xml version="1.0"?>\n<x:urlset xmlns:x="y"><x:url><x:loc>\n /ok/wrong \n</x:loc></x:url></x:urlset>'),
    "/elsewhere.xml": elsewhere,
    "/marked.xml": xml("\ufeff" + entries("/ok/marked", "/never/" + "x" * 1_000_000, "http://[bad", "javascript:x()")),
    "/text.txt": raw(whole(200, b"\xef\xbb\xbfnothing\nhttp://127.0.0.1:25/mail\n\0\xff\n", "text/plain")),
    "/page.xml": raw(whole(200, html_page("No sitemap", "/never/inpage"))),
    "/absent.xml": raw(whole(404, b"")),
    "/endless.xml": evil_wire.CASES["/endlesschunks"],
}

APART: Final = ("/", "/robots.txt", "/forbidden", "/manylinks", "/heavy")
SMALL: Final = {path: case for path, case in evil.CASES.items() if path not in APART}
"""The cases of the small evil web."""
CASES: Final[dict[str, Case]] = {**SMALL, **evil_wire.CASES, **evil_pages.CASES}


def index(exchange: Exchange) -> Body:
    good = [f"/ok/{number}" for number in range(GOOD)]
    mixed = [path for pair in itertools.zip_longest(CASES, good) for path in pair if path]
    yield whole(200, html_page("Index", *mixed))


def good_page(exchange: Exchange) -> Body:
    yield whole(200, html_page(f"Good {exchange.path[:50]}", "/"))


def host_root(exchange: Exchange) -> Body:
    yield whole(200, html_page("Host", "/page", "/no"))


def case_on_main(path: str) -> Case:
    plain = path.partition("?")[0]
    first = "/" + plain[1:].partition("/")[0]
    if plain in ("/", "/robots.txt"):
        return index if plain == "/" else robots("User-agent: *\nDisallow: /forbidden\n")
    if first in ("/ok", "/never", "/forbidden"):
        return good_page
    if first == "/old":  # apart from the others: there are too many
        return evil_wire.old
    if first == "/growing":
        return CASES["/growing/"]
    return CASES.get(plain) or CASES.get(first) or raw(whole(404, b""))


def case_on_host(number: int, path: str) -> Case:
    plain = path.partition("?")[0]
    if plain == "/robots.txt":
        return ROBOTS[number]
    if plain.startswith("/map"):
        return raw(whole(404, b""))
    return SITEMAPS.get(plain) or (host_root if plain == "/" else good_page)


class Handler(evil.Handler):
    """Like evil's, with cases by address."""

    server: Server

    def _answer(self, path: str) -> None:
        arrived = time.monotonic()
        exchange = Exchange(self.request, path, self.server.patience, 0)
        vars(exchange)["private"] = self.server.private
        number = self.server.number
        try:
            for part in (case_on_main(path) if number == 0 else case_on_host(number - 1, path))(exchange):
                self.request.sendall(part)
        finally:
            self.server.note(arrived, f"{number}:{path[:200]}")


class Server(evil.EvilServer):
    """One address."""

    def __init__(self, number: int, port: int, log: Path, patience: float, private: int) -> None:
        self.number, self.private = number, private
        self.address = f"127.0.0.{number + 1}"
        super().__init__(port, log, patience, 0)
        self.RequestHandlerClass = Handler

    def server_bind(self) -> None:
        self.server_address = (self.address, self.server_address[1])
        super().server_bind()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("/dev/null"))
    parser.add_argument("--patience", type=float, default=evil.PATIENCE, help="seconds after which even the endless ends")
    parser.add_argument("--private", type=int, default=9, help="the port to lure crawlers to")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for coding, megabytes in (("br", 60), ("zstd", 60), ("deflate", 60), ("deflate", 100), ("zstd", 50)):
        evil_wire.packed_blanks(coding, megabytes)  # before anybody waits for it
    evil_wire.packed_thrice()
    servers = [Server(0, options.port, options.log, options.patience, options.private)]
    port = int(servers[0].server_address[1])
    servers += [Server(number, port, options.log, options.patience, options.private) for number in range(1, len(ROBOTS) + 1)]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True).start()
    print(port, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        servers[0].serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
