"""A site of two hosts is crawled, mirrored, and opened by Chromium without network: what it shows is what was served."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Crawl, Documentation, lacking

QUICKLY = ("--per-host", "16", "--delay", "0")


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x20\x80\x40" * width) * height
    head = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def digest(data: bytes) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(data).digest()).decode()}"


SHEET = b"""@import "more/sheet.css" screen;
@font-face { font-family: Own; src: url(fonts/own) format("woff2"); }
h1 { color: rgb(1, 2, 3); font-family: Own; background: url("../img/back.png?v=1") }"""
SCRIPT = b"document.documentElement.dataset.ran = 'yes'"
ASSETS: dict[str, tuple[str, bytes]] = {
    "/css/theme": ("text/css", SHEET),
    "/css/more/sheet.css": (
        "text/css",
        "@charset 'x'; p { color: rgb(4, 5, 6) } p::after { content: 'é'; background: url(dot.png) }".encode(),
    ),
    "/css/more/dot.png": ("image/png", png(1, 1)),
    "/img/back.png?v=1": ("image/png", png(2, 2)),
    "/img/one": ("image/png", png(30, 20)),
    "/img/two.png": ("image/png", png(60, 40)),
    "/script.js": ("text/javascript", SCRIPT),
    "/never/asked.png": ("image/png", png(1, 1)),
}


def pages(assets: str) -> dict[str, tuple[str, bytes]]:
    home = f"""<!doctype html><html><head><base href="/deep/"><meta charset=koi8-r>
        <meta http-equiv="Content-Security-Policy" content="default-src 'self' {assets}">
        <link rel=preconnect href="{assets}"><link rel=manifest href=/site.json>
        <link rel=stylesheet href="{assets}css/theme" integrity="{digest(SHEET)}" crossorigin=anonymous>
        <script src="{assets}script.js" integrity="{digest(SCRIPT)}" crossorigin=anonymous></script></head>
        <body><h1>Дом</h1><p>text</p>
        <img id=plain src="../picture"><img id=set srcset="{assets}img/one 1x, {assets}img/two.png 2x">
        <div id=inline style="background-image: url({assets}img/one)">x</div>
        <a id=next href="../next#part">next</a> <a id=dead href=../dead>dead</a>
        <a id=away href="{assets}never/asked.html">away</a></body>"""
    two = "<!doctype html><title>two</title><h1 id=part>Вторая</h1><a id=back href='/'>back</a>"
    return {
        "/": ("text/html", home.encode("koi8-r")),
        "/picture": ("image/png", png(50, 10)),
        "/site.json": ("application/json", b"{}"),
        "/pages/two?x=1&y=%2F": ("text/html; charset=windows-1251", two.encode("cp1251")),
    }


@contextlib.contextmanager
def served(address: str, answers: dict[str, tuple[str, bytes]], redirects: dict[str, str]) -> Iterator[str]:
    """Serve `answers` by path, on a port of its own; give its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content_type, body = answers.get(self.path, ("text/plain", b""))
            status = 302 if self.path in redirects else 200 if self.path in answers else 404
            self.send_response(status)
            if status == 302:
                self.send_header("Location", redirects[self.path])
            for name, value in (("Content-Type", content_type), ("Content-Length", len(body)), ("Access-Control-Allow-Origin", "*")):
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((address, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://{address}:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def browser() -> Iterator[Any]:
    """A Chromium from Debian without network; it does not start where it is not installed."""
    program = shutil.which("chromium")
    if program is None:
        lacking("chromium", "chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("playwright is missing: pip install playwright")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        context = running.new_context(offline=True)
        context.set_default_timeout(20_000)
        yield context
        running.close()


class Watched:
    """A tab, and what it asked for."""

    def __init__(self, browser: Any) -> None:
        self.asked: list[str] = []
        self.failed: list[str] = []
        self.complaints: list[str] = []
        self.tab = browser.new_page()
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.on("requestfailed", lambda request: self.failed.append(f"{request.url}: {request.failure}"))
        self.tab.on("console", lambda message: self.complaints.append(message.text))

    def __call__(self, expression: str) -> Any:
        return self.tab.evaluate(expression)


@pytest.fixture
def mirrored(crawl: Crawl, documentation: Documentation, tmp_path: Path) -> Iterator[Callable[[], tuple[Path, str]]]:
    """Return a function that crawls and mirrors the site, ends its servers and gives the mirror's folder and the assets' URL."""

    def make() -> tuple[Path, str]:
        font = documentation("rust-doc/html", "rust-doc") / "FiraSans-Regular.woff2"
        assets = {**ASSETS, "/css/fonts/own": ("font/woff2", font.read_bytes())}
        with served("127.0.0.2", assets, {}) as other, served("127.0.0.1", pages(other), {"/next": "/pages/two?x=1&y=%2F"}) as seed:
            done = crawl("run", seed, "--dir", "home", "--output", "site.mirror/", "--allow-address", "127.0.0.0/8", *QUICKLY)
            assert done.code == 0, done
        return tmp_path / "site.mirror", other

    return make


def style(of: str, name: str) -> str:
    return f"getComputedStyle(document.querySelector('{of}')).{name}"


@pytest.mark.real_site
def test_a_mirror_opens_without_network(mirrored: Callable[[], tuple[Path, str]], browser: Any) -> None:
    folder, assets = mirrored()
    page = Watched(browser)
    page.tab.goto((folder / "index.html").as_uri())
    page.tab.wait_for_url("**/127.0.0.1_*/index.html")
    page.tab.wait_for_load_state("load")
    assert page("document.characterSet") == "UTF-8"
    assert page("document.querySelector('h1').textContent") == "Дом"
    assert page(style("h1", "color")) == "rgb(1, 2, 3)"
    assert page(style("p", "color")) == "rgb(4, 5, 6)"  # of the sheet that the other imports
    assert page("getComputedStyle(document.querySelector('p'), '::after').content") == '"é"'
    assert page("document.documentElement.dataset.ran") == "yes"
    assert page("document.fonts.load('16px Own').then(fonts => fonts.map(font => font.status))") == ["loaded"]
    assert page("document.querySelector('#plain').naturalWidth") == 50
    assert page("document.querySelector('#set').naturalWidth") == 30
    assert page(style("#inline", "backgroundImage")).startswith('url("file:')
    assert page("document.querySelector('#dead').href").startswith("http://127.0.0.1:")
    assert page("document.querySelector('#away').href") == f"{assets}never/asked.html"

    page.tab.click("#next")
    page.tab.wait_for_url("**#part")
    assert page("document.querySelector('h1').textContent") == "Вторая"
    assert "/pages/two~" in page.tab.url
    page.tab.click("#back")
    page.tab.wait_for_url("**/127.0.0.1_*/index.html")
    assert page.failed == []
    assert page.complaints == []
    assert all(url.startswith("file:") for url in page.asked)
    held = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {"theme.css", "sheet.css", "own.woff2", "dot.png", "one.png", "two.png", "picture.png", "script.js"} <= held
    assert "asked.png" not in held
