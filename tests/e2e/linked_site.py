"""A site of which every broken link is known, and another one that it links to: both on threads of the test."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, str, str]  # status, Content-Type or Location, body
HTML = "text/html; charset=utf-8"

EVIL_TITLE = "&lt;/title>&lt;script>alert(1)&lt;/script>"
LONG_TEXT = " ".join(f"word{number}" for number in range(200))


def page(*links: str, title: str = "A page", more: str = "") -> Answer:
    anchors = "".join(f'<a href="{link}">x</a>' for link in links)
    return 200, HTML, f'<!doctype html><html lang="en"><title>{title}</title>{anchors}{more}'


def site_pages(other: str) -> dict[str, Answer]:
    """Return the answers of the site by path; `other` is the origin of the other one."""
    return {
        "/robots.txt": (200, "text/plain", "User-agent: *\nDisallow: /private\n"),
        "/": page(
            *("good.html#there", "good.html#missing", "good.html#caf%C3%A9", "gone.html", "moved#there", "moved#nowhere", "moved-bad"),
            *("circle1", "private.html", "#/route", "#top", "twin1.html", "twin2.html", "near1.html", "near2.html", "menu.html"),
            *(f"{other}/ok", f"{other}/gone", f"{other}/only-get", f"{other}/neither", f"{other}/ok#part", f"{other}/away"),
            title=EVIL_TITLE,
            more='<img src="no.png"><link rel=stylesheet href="style.css"><a rel=nofollow href="nofollowed.html">x</a>',
        ),
        "/good.html": page("gone.html", "/", more="<h2 id=there>x</h2><a name='café'>x</a>"),
        "/menu.html": page("gone.html", "good.html#missing"),
        "/moved": (301, "/good.html", ""),
        "/moved-bad": (302, "/gone2.html", ""),
        "/circle1": (302, "/circle2", ""),
        "/circle2": (302, "/circle1", ""),
        "/private.html": page("never.html"),
        "/style.css": (200, "text/css", "p { background: url(no-back.png) }"),
        "/twin1.html": page("/", title="Twins"),
        "/twin2.html": page("/", title="Twins"),
        "/near1.html": page("/", title="Near", more=f"<p>{LONG_TEXT} one"),
        "/near2.html": page("/", title="Near", more=f"<p>{LONG_TEXT} two"),
    }


OTHER_PAGES: dict[str, Answer] = {
    "/ok": page("/never-asked"),
    "/only-get": page("/never-asked"),
    "/away": (302, "/away-gone", ""),
}
REFUSES_HEAD = ("/only-get", "/neither")


def broken_links(origin: str, other: str) -> dict[str, tuple[str, set[str]]]:
    """Return every broken link with its reason and the pages that hold it."""
    home, menu = f"{origin}/", f"{origin}/menu.html"
    return {
        f"{origin}/gone.html": ("http_error", {home, f"{origin}/good.html", menu}),
        f"{origin}/good.html#missing": ("fragment", {home, menu}),
        f"{origin}/moved#nowhere": ("fragment", {home}),
        f"{origin}/moved-bad": ("http_error", {home}),
        f"{origin}/circle1": ("redirect_loop", {home}),
        f"{origin}/nofollowed.html": ("http_error", {home}),
        f"{origin}/no.png": ("http_error", {home}),
        f"{origin}/no-back.png": ("http_error", {f"{origin}/style.css"}),
        f"{other}/gone": ("http_error", {home}),
        f"{other}/neither": ("http_error", {home}),
        f"{other}/away": ("http_error", {home}),
    }


class Sites:
    """Both sites while they run; `asked` has what the other one was asked for: method and path."""

    def __init__(self, origin: str, other: str, asked: list[tuple[str, str]]) -> None:
        self.origin, self.other, self.asked = origin, other, asked

    @property
    def broken(self) -> dict[str, tuple[str, set[str]]]:
        return broken_links(self.origin, self.other)


@contextlib.contextmanager
def linked_sites() -> Iterator[Sites]:
    with contextlib.ExitStack() as stack:
        asked: list[tuple[str, str]] = []
        other = stack.enter_context(_serve("127.0.0.2", OTHER_PAGES, asked))
        own: dict[str, Answer] = {}
        origin = stack.enter_context(_serve("127.0.0.1", own, []))
        own.update(site_pages(other))
        yield Sites(origin, other, asked)


@contextlib.contextmanager
def _serve(address: str, answers: dict[str, Answer], asked: list[tuple[str, str]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append((self.command, self.path))
            status, said, body = answers.get(self.path, (404, HTML, "not here"))
            if self.command == "HEAD" and self.path in REFUSES_HEAD:
                status = 405
            self.send_response(status)
            self.send_header("Location" if status in (301, 302) else "Content-Type", said)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body.encode())

        do_HEAD = do_GET

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that closes its idle connections at its end is no news."""

    server = Server((address, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
