"""``crawl batch``: fetch a fixed list of URLs, as many answers as URLs, in the order of the list."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from crawler.cli.options import Section, SectionedCommand, SettingOption, given_settings, run_sections
from crawler.cli.quantities import format_count, plural
from crawler.cli.report import Report
from crawler.cli.run import load_settings, tell_unverified
from crawler.cli.site_options import open_session
from crawler.cli.terminal import choose_report
from crawler.config import Settings
from crawler.errors import Exit, UsageError
from crawler.job import canonical_seed

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from crawler.batch import Page
    from crawler.cli.batch_files import PageFolder, RecordFile, UrlList
    from crawler.fetch.sites import Session

AHEAD: Final = 10_000
"""Answers that are open or wait for those before them, at most; also how many pages are remembered for URLs that come again."""
FAILURES_LISTED: Final = 1000
"""Failures listed at the end; all of them are in the records."""
WATCHED: Final = 10
"""A list of the command line no longer than this shows no progress."""

EPILOG = (
    "One record a URL goes to standard output, as JSON lines, in the order of the list; what failed is listed at the end on standard "
    "error, and the exit code is 12 then. Settings can also come from the environment or a file: 'crawl config show'."
)
_LEFT_OUT: Final = {"max_failures", "profile", "stop_timeout", "nofollow"}
_SHARED: Final = {"How politely", "How it is fetched", "How it connects", "How it runs"}


def batch_sections() -> list[Section]:
    """Return all sections of ``crawl batch --help``: its own, and those of ``crawl run`` that are about fetching."""
    own = Section(
        "What and where to",
        click.Option(["-f", "--urls-file"], metavar="FILE", help="More URLs, one a line, # begins a comment; '-' is standard input."),
        click.Option(["-o", "--output"], metavar="FILE", help="Write the records to FILE (.jsonl or .csv), not to standard output."),
        click.Option(["--overwrite"], is_flag=True, help="Replace what exists: the output, files in the folder of --save."),
        click.Option(["--body"], is_flag=True, help="Write the pages' decoded bodies to standard output, one after the other; no records."),
        click.Option(["--save"], metavar="DIR", help="Also write each page to a file in DIR, named 00001-example.com-index.html."),
        SettingOption("--record-headers/--no-record-headers", key="store.record_headers", help="Response headers in the records."),
        SettingOption("--record-links/--no-record-links", key="store.record_links", help="Each page's links in the records."),
    )
    shared = [section for section in run_sections() if section.heading in _SHARED]
    return [own, *(Section(section.heading, *(kept for kept in section.options if kept.name not in _LEFT_OUT)) for section in shared)]


@click.command(cls=SectionedCommand, sections=batch_sections(), epilog=EPILOG, options_metavar="[OPTIONS]")
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.pass_context
def command(ctx: click.Context, /, urls: tuple[str, ...], **_options: Any) -> Exit:
    """Fetch a fixed list of URLs: one answer each, in the order of the list.

    Nothing is crawled: no links are followed, only redirects. robots.txt is obeyed and hosts are asked as politely as in a crawl.
    """
    options = ctx.params
    if not urls and options["urls_file"] is None:
        raise UsageError("no URL given: name at least one, as in: crawl batch https://example.com/, or a list with --urls-file FILE")
    settings = load_settings(options["config_file"], given_settings(ctx))
    from crawler.cli.batch_files import PageFolder, RecordFile, UrlList

    output = None if options["output"] in (None, "-") else options["output"]
    if options["body"] and options["output"] == "-":
        raise UsageError("--body and --output -: both want standard output; write the records to a file")
    session = open_session(settings.fetch, [seed for url in urls if (seed := _canonical(url)) is not None])
    listed = UrlList(urls, options["urls_file"])
    folder = PageFolder(options["save"], overwrite=options["overwrite"]) if options["save"] else None
    file = RecordFile(output, overwrite=options["overwrite"]) if output else None
    report = choose_report(quiet=options["quiet"], as_json=options["as_json"], streaming=file is None)
    run = Run(settings, listed, report, session=session, file=file, folder=folder, body=options["body"])
    watch = options["urls_file"] is not None or len(urls) > WATCHED
    expected = len(urls) if options["urls_file"] is None else None
    return run.to_end(expected=expected, watch=watch, verbosity=options["verbose"])


def _canonical(url: str) -> str | None:
    """Return a URL of the command line as it will be asked; None when it is none, which its answer tells."""
    try:
        return canonical_seed(url)
    except UsageError:
        return None


class Run:
    """One list from its first URL to its exit code. `body`: bodies go to standard output instead of records."""

    def __init__(
        self,
        settings: Settings,
        listed: UrlList,
        report: Report,
        *,
        session: Session | None,
        file: RecordFile | None,
        folder: PageFolder | None,
        body: bool,
    ) -> None:
        self._settings = settings
        self._session = session
        self._listed = listed
        self._report = report
        self._file = file
        self._folder = folder
        self._body = body
        self._tally = Tally()
        self._closed = False  # the reader of standard output has gone
        self._reactor: Any = None
        self._write: Callable[[bytes], None]
        self._stop: Callable[[], None]

    def to_end(self, *, expected: int | None, watch: bool, verbosity: int) -> Exit:
        """Fetch it all, tell how it went, and return the exit code. `expected`: the number of URLs when it is known."""
        try:
            complete = self._fetch_all(expected=expected, watch=watch, verbosity=verbosity)
            if complete and self._file is not None:
                self._file.finish()
        except BaseException:
            if self._file is not None:
                self._file.leave()
            raise
        finally:
            self._listed.close()
        self._tally.tell(self._report)
        if self._closed:
            return Exit.FINISHED
        if not complete:
            self._tell_interrupted()
            return Exit.INTERRUPTED
        return Exit.FAILURES if self._tally.failed else Exit.FINISHED

    def _fetch_all(self, *, expected: int | None, watch: bool, verbosity: int) -> bool:
        """Return whether the list came to its end."""
        from crawler.cli.reactors import install, run_until, standard_output_writer, within_descriptors

        reactor = self._reactor = install(self._settings.service.reactor)
        self._settings = within_descriptors(self._settings, self._report)
        from crawler.batch import Batch, Ordered
        from crawler.cli.log import start_logging

        start_logging(self._report, verbosity)
        tell_unverified(self._settings, self._report)
        bodies, links = self._body or self._folder is not None, self._settings.store.record_links
        batch = Batch(reactor, self._settings, session=self._session, bodies=bodies, links=links, expected=expected, remember=AHEAD)
        # Bodies that wait for those before them are held in memory: no more of them than requests in flight, twice.
        ahead = min(AHEAD, 2 * self._settings.fetch.concurrency) if self._body else AHEAD

        def answer(number: int, url: str) -> Deferred[Page]:
            return batch.page(url).addCallback(self._answered, number)

        ordered: Ordered[Page] = Ordered(self._read, answer, self._hand_out, ahead=ahead)
        self._stop = ordered.stop
        self._write = standard_output_writer(lambda: reactor.callFromThread(self._reader_gone))

        def start() -> Deferred[bool]:
            if watch:
                self._report.watch(reactor, batch.snapshot)
            return ordered.run().addBoth(lambda result: batch.close().addCallback(lambda _: result))

        try:
            return run_until(reactor, start, lambda _count: ordered.stop())
        finally:
            self._report.close()

    def _reader_gone(self) -> None:
        self._closed = True
        self._stop()

    def _read(self) -> Deferred[list[str] | None]:
        return self._in_thread(self._listed.read)

    def _in_thread(self, call: Callable[..., Any], *arguments: object) -> Deferred[Any]:
        """Run what may block on a file or a pipe."""
        from twisted.internet.threads import deferToThreadPool

        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), call, *arguments)

    def _answered(self, page: Page, number: int) -> Page | Deferred[Page]:
        """Save a page as soon as it is there; its body is not needed any more then."""
        if self._folder is None or not page.ok:
            return page
        from msgspec.structs import replace

        kept = page if self._body else replace(page, body=b"")
        return self._in_thread(self._folder.save, number, page).addCallback(lambda _: kept)

    def _hand_out(self, pages: list[Page]) -> Deferred[None]:
        for page in pages:
            self._tally.add(page)
        return self._in_thread(self._write_out, pages)

    def _write_out(self, pages: list[Page]) -> None:
        """Write records or bodies; whoever reads them may be slow."""
        from crawler.batch import record_of
        from crawler.store.outputs import encoder

        store = self._settings.store
        records = [record_of(page, headers=store.record_headers, links=store.record_links) for page in pages]
        if self._file is not None:
            self._file.write(records)
        if self._body:
            for page in pages:
                self._write(page.body)
        elif self._file is None:
            self._write(encoder("jsonl").encode(records))

    def _tell_interrupted(self) -> None:
        answered = plural(self._tally.answered, "URL")
        part = ""
        if self._file is not None and self._file.leave():
            part = f"; its records are in {self._file.part}"
        self._report.note("interrupted", f"Interrupted: {answered} of the list answered{part}.", answered=self._tally.answered)


class Tally:
    """What the answers came to, for the list at the end."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self._fetched = 0
        self._unmodified = 0
        self._reasons: dict[str, int] = {}
        self._listed: list[tuple[str, str, str]] = []
        self._elapsed = 0.0

    def add(self, page: Page) -> None:
        """Count one answer. What was skipped because its media type is not wanted did not fail."""
        self.answered += 1
        if page.ok:
            self._fetched += 1
            return
        if page.outcome == "not_modified":
            self._unmodified += 1
            return
        reason = str(page.reason or page.outcome)
        self._reasons[reason] = self._reasons.get(reason, 0) + 1
        self.failed += page.outcome != "skipped"
        if len(self._listed) < FAILURES_LISTED:
            led = f"at {page.final_url}: " if page.redirects else ""
            self._listed.append((page.url, reason, f"{led}{page.detail or ''}"))

    def tell(self, report: Report) -> None:
        """List what was not fetched, one line each, then sum it up by reason."""
        for url, reason, detail in self._listed:
            report.note("failure", f"{url}  {reason}  {detail}".rstrip(), url=url, reason=reason, detail=detail)
        missing = self.answered - self._fetched - self._unmodified
        if missing > len(self._listed):
            report.note("failures_not_listed", f"… and {plural(missing - len(self._listed), 'more')}", count=missing - len(self._listed))
        ranked = sorted(self._reasons.items(), key=lambda item: (-item[1], item[0]))
        why = f"; not fetched: {', '.join(f'{reason} {format_count(count)}' for reason, count in ranked)}" if ranked else ""
        unmodified = f", {format_count(self._unmodified)} not modified" if self._unmodified else ""
        report.note(
            "summary",
            f"{format_count(self._fetched)} of {plural(self.answered, 'URL')} fetched{unmodified}{why}",
            answered=self.answered,
            fetched=self._fetched,
            not_modified=self._unmodified,
            failed=self.failed,
            reasons=dict(ranked),
        )
