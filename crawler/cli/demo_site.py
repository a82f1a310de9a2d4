"""The site that ``crawl demo`` serves and crawls: small, and full of what real sites are full of.

`answers` is the whole site as a table, `EXPECTED` what a crawl must make of each URL: the demo holds the two against each other.
"""

from __future__ import annotations

import gzip
from typing import Any, Final

from msgspec import Struct
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

CHAPTERS: Final = 8
SECTIONS: Final = 5  # of each chapter
HIDDEN: Final = 6  # pages that the sitemap alone names
MONTHS: Final = 4  # of the calendar: /calendar/, then next/ three times; one more is a trap
SLOW: Final = 1.2  # seconds

Expectation = tuple[str, str | None]
"""What becomes of a URL: its outcome and reason, or ``refused`` and the rule."""


class Answer(Struct, frozen=True):
    """One answer of the site."""

    body: bytes = b""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    headers: dict[str, str] = {}
    delay: float = 0.0  # seconds


def _page(title: str, *links: str, text: str = "", head: str = "") -> bytes:
    """Return a page; a link is ``href`` or ``href|text``."""
    items = "".join(f'<li><a href="{href}">{label or href}</a></li>' for href, _, label in (link.partition("|") for link in links))
    return (
        f'<!doctype html><html lang="en"><head><title>{title}</title>{head}</head>'
        f"<body><h1>{title}</h1><p>{text}</p><ul>{items}</ul></body></html>"
    ).encode()


def _chapters() -> dict[str, Answer]:
    pages = {}
    for chapter in range(1, CHAPTERS + 1):
        sections = [f"{chapter}-{section}.html|Section {section}" for section in range(1, SECTIONS + 1)]
        pages[f"/chapters/{chapter}.html"] = Answer(_page(f"Chapter {chapter}", "../|Home", *sections))
        for section in range(1, SECTIONS + 1):
            onward = f"{chapter}-{section % SECTIONS + 1}.html|Next"
            links = ("/|Home", f"{chapter}.html|Up", onward, f"/about.html?utm_source=chapter{chapter}|About", "/about.html#team|Team")
            pages[f"/chapters/{chapter}-{section}.html"] = Answer(_page(f"Section {chapter}.{section}", *links, text="Lorem ipsum. " * 40))
    return pages


def _index() -> Answer:
    chapters = [f"chapters/{chapter}.html|Chapter {chapter}" for chapter in range(1, CHAPTERS + 1)]
    others = ["about.html", "café.html", "compressed.html", "broken.html", "slow.html", "old/", "loop/a", "moved.html", "calendar/"]
    faults = ["missing-1.html", "missing-2.html", "fault.html"]
    private = ["private/diary.html", "private/letters.html", "private/keys.html"]
    outside = ["https://www.example.org/|Another site", "mailto:somebody@example.org", "javascript:void(0)"]
    body = _page(
        "The demo site", *chapters, *others, *faults, *private, *outside, text='<a rel="nofollow" href="sponsored.html">Advertisement</a>'
    )
    return Answer(body)


def _odd_pages() -> dict[str, Answer]:
    french = '<html lang="fr"><head><title>Café</title></head><body><a href="/about.html">À propos</a></body></html>'
    soup = b"<title>Tag soup</title><ul><li><a href='/found-in-the-soup.html'>a <b>link <i>in</b> a mess</i><table><p><a href=/about.html"
    return {
        "/about.html": Answer(_page("About", "/|Home", "/chapters/../about.html|This page again")),
        "/caf%C3%A9.html": Answer(french.encode("windows-1252"), content_type="text/html; charset=windows-1252"),
        "/compressed.html": Answer(gzip.compress(_page("Compressed", "/|Home"), mtime=0), headers={"Content-Encoding": "gzip"}),
        "/broken.html": Answer(soup + b"></a>"),
        "/found-in-the-soup.html": Answer(_page("Found in the soup")),
        "/slow.html": Answer(_page("Slow"), delay=SLOW),
        "/old/": Answer(status=301, headers={"Location": "/about.html"}),
        "/loop/a": Answer(status=302, headers={"Location": "/loop/b"}),
        "/loop/b": Answer(status=302, headers={"Location": "/loop/a"}),
        "/moved.html": Answer(_page("Moved", head='<meta http-equiv="refresh" content="0; url=/welcome.html">')),
        "/welcome.html": Answer(_page("Welcome")),
        "/fault.html": Answer(b"out of order", 500, "text/plain"),
    }


def answers(base: str) -> dict[str, Answer]:
    """Return the site as it is served at `base` (``http://127.0.0.1:8000``), by path."""
    hidden = [f"/hidden/{number}.html" for number in range(1, HIDDEN + 1)]
    entries = "".join(f"<url><loc>{base}{path}</loc></url>" for path in ["/", *hidden])
    sitemap = f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'
    robots = f"User-agent: *\nDisallow: /private/\nSitemap: {base}/sitemap.xml\n"
    calendar = "/calendar/"
    months = {}
    for month in range(MONTHS + 3):
        months[calendar + "next/" * month] = Answer(_page(f"Month {month + 1}", "next/|Next month"))
    return {
        "/": _index(),
        "/robots.txt": Answer(robots.encode(), content_type="text/plain"),
        "/sitemap.xml": Answer(sitemap.encode(), content_type="application/xml"),
        **{path: Answer(_page(f"Hidden page {path[8]}", text="No page links here.")) for path in hidden},
        **{f"/private/{name}.html": Answer(_page("Private")) for name in ("diary", "letters", "keys")},
        "/sponsored.html": Answer(_page("Advertisement")),
        **months,
        **_chapters(),
        **_odd_pages(),
    }


def expected() -> dict[str, Expectation]:
    """Return what a crawl must make of each URL, by path (or by whole URL, for another site)."""
    found: dict[str, Expectation] = {
        path: ("fetched", None) for path, answer in answers("").items() if answer.status == 200 and path != "/robots.txt"
    }
    found |= dict.fromkeys(("/old/", "/loop/a", "/loop/b"), ("redirected", None))
    found |= dict.fromkeys(("/missing-1.html", "/missing-2.html", "/fault.html"), ("failed", "http_error"))
    found |= {f"/private/{name}.html": ("denied", "robots") for name in ("diary", "letters", "keys")}
    found |= {"/sponsored.html": ("refused", "nofollow"), "https://www.example.org/": ("refused", "scope:host")}
    found |= {"/calendar/" + "next/" * month: ("unknown", None) for month in range(MONTHS + 1, MONTHS + 3)}
    found["/calendar/" + "next/" * MONTHS] = ("refused", "trap:repeated_segments")
    return found


class _Pages(Resource):
    """Answers from the table; paths are compared as they are written in the request."""

    isLeaf = True

    def __init__(self, reactor: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self.answers: dict[str, Answer] = {}

    def render_GET(self, request: Any) -> bytes | int:
        """Answer one request, some of them late."""
        path = request.path.decode("latin-1")
        answer = self.answers.get(path) or Answer(_page("Not here"), 404)
        request.setResponseCode(answer.status)
        request.setHeader("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            request.setHeader(name, value)
        if not answer.delay:
            return answer.body
        late = self._reactor.callLater(answer.delay, self._finish, request, answer.body)
        request.notifyFinish().addErrback(lambda _: late.active() and late.cancel())
        return NOT_DONE_YET

    @staticmethod
    def _finish(request: Any, body: bytes) -> None:
        request.write(body)
        request.finish()


def serve(reactor: Any, port: int = 0) -> str:
    """Serve the site on loopback, on a free port unless one is named, and return its address, which ends with a slash.

    Raises twisted.internet.error.CannotListenError.
    """
    pages = _Pages(reactor)
    site = Site(pages)  # type: ignore[no-untyped-call]
    site.displayTracebacks = False
    site.noisy = False
    listening = reactor.listenTCP(port, site, interface="127.0.0.1")
    base = f"http://127.0.0.1:{listening.getHost().port}"
    pages.answers = answers(base)
    return f"{base}/"
