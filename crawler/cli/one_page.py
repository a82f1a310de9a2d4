"""One page for ``crawl try`` and ``crawl shell``: from a file, or fetched as ``crawl run`` would, robots.txt and guard included."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from msgspec import Struct

from crawler import url as urls
from crawler.cli.options import Section, run_sections
from crawler.cli.report import Report
from crawler.cli.site_options import open_session
from crawler.config import Settings
from crawler.errors import CrawlError, Exit, UsageError
from crawler.job import canonical_seed

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from crawler.batch import Page

LOCAL: Final = "http://localhost/"
"""Where a file is taken to come from when nobody says."""
MAX_FILE: Final = 256 * 1024 * 1024
"""Bytes of a file that is taken for a page."""

_PAGES: Final = (".html", ".htm", ".xhtml")
"""What files of pages end in, and no host does."""

_OPTIONS: Final = {
    "robots": "How politely",
    "user_agent": "How politely",
    "timeout": "How it is fetched",
    "header": "How it is fetched",
    "config_file": "How it runs",
}


class NotFetched(CrawlError):
    """The page cannot be had; the message says why."""

    exit_code = Exit.FAILURES


class OnePage(Struct, frozen=True):
    """A page, decoded, from wherever it came."""

    url: str  # the last one asked
    body: bytes
    content_type: str | None  # with the charset that was found
    status: int | None = None
    asked: str | None = None  # the URL asked first, when redirects led away from it


def page_sections(*own: click.Option) -> list[Section]:
    """Return the sections of a command's help: its own options, and those of ``crawl run`` that one page may need."""
    picked: list[click.Option] = []
    for section in run_sections():
        if section.heading == "How it connects":
            picked += section.options
        picked += [option for option in section.options if _OPTIONS.get(str(option.name)) == section.heading]
    source = [
        click.Option(["--html"], metavar="FILE", help="Take the page from an HTML file; nothing is fetched."),
        click.Option(["--url"], metavar="URL", help=f"Where the file's page comes from, for its links and rules.  [default: {LOCAL}FILE]"),
    ]
    return [Section("The page", *own, *source), Section("How it is fetched", *picked)]


def get_page(target: str | None, html: str | None, url: str | None, settings: Settings, report: Report) -> OnePage:
    """Return the page that a command line asks for: a URL or a file as argument, or a file as ``--html``.

    Raises UsageError for what is neither, NotFetched when the web does not give it.
    """
    if (target is None) == (html is None):
        raise UsageError("name one page: a URL, an HTML file, or --html FILE")
    file = html if html is not None else target if _is_file(str(target)) else None
    if file is not None:
        return _from_file(Path(file), url)
    if url is not None:
        raise UsageError(f"--url: says where a file comes from; there is no file {target}")
    if Path(str(target)).suffix.lower() in _PAGES and "/" not in str(target):
        raise UsageError(f"{target}: there is no such file; a host of that name is asked as https://{target}/")
    return _fetched(canonical_seed(str(target)), settings, report)


def _is_file(target: str) -> bool:
    return "://" not in target and Path(target).is_file()


def _from_file(file: Path, url: str | None) -> OnePage:
    try:
        if file.stat().st_size > MAX_FILE:
            raise UsageError(f"{file}: more than {MAX_FILE >> 20} MiB; that is no page to try rules on")
        body = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    canonical = canonical_seed(url) if url is not None else urls.canonicalise(file.name, LOCAL) or LOCAL
    return OnePage(canonical, body, None)


def _fetched(url: str, settings: Settings, report: Report) -> OnePage:
    from crawler.cli.reactors import install, run_until

    session = open_session(settings.fetch, [url])
    reactor = install(settings.service.reactor)
    from twisted.internet.defer import CancelledError

    from crawler.batch import Batch
    from crawler.cli.log import start_logging

    start_logging(report, 0)
    batch = Batch(reactor, settings, session=session, bodies=True, expected=1)

    asked: list[Deferred[Page]] = []

    def start() -> Deferred[Page]:
        asked.append(batch.page(url))
        return asked[0].addBoth(lambda result: batch.close().addCallback(lambda _: result))

    try:
        page = run_until(reactor, start, lambda _count: asked[0].cancel())
    except CancelledError:
        raise KeyboardInterrupt from None
    return _usable(page, settings)


def _usable(page: Page, settings: Settings) -> OnePage:
    if not page.ok:
        told = f"{page.final_url}: {page.reason or page.outcome}: {page.detail or ''}".rstrip(": ")
        remedy = "; --no-robots asks all the same" if str(page.reason) == "robots" and settings.politeness.robots else ""
        raise NotFetched(f"{told}{remedy}")
    media_type = page.content_type or "text/html"
    content_type = f"{media_type}; charset={page.charset}" if page.charset else media_type
    return OnePage(page.final_url, page.body, content_type, page.status, page.url if page.redirects else None)
