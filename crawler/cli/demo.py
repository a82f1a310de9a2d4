"""``crawl demo``: a site served by the program itself, crawled before your eyes, and a few words about what was seen."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Final

import click

from crawler import __version__
from crawler.cli.options import choice_of, reporting_options
from crawler.cli.quantities import plural
from crawler.cli.report import Report
from crawler.cli.terminal import choose_report
from crawler.config import load
from crawler.errors import Exit, HomeError, UsageError
from crawler.job import Job, make_job
from crawler.model import Outcome, Result
from crawler.store.home import DATABASE, RECORDS, open_for
from crawler.store.reader import HomeReader

AGENT: Final = f"Crawl/{__version__} (demo)"
"""How a home is known as the demo's own: nothing else is started over without being asked."""

SETTINGS: Final = {
    "politeness.delay": 0.04,
    "politeness.user_agent": AGENT,
    "fetch.retries": 1,
    "fetch.retry_delay": 0.5,
}


@click.command(params=reporting_options())
@click.option(
    "-d", "--dir", "folder", type=click.Path(), default="demo.crawl", show_default=True, help="The demo's home; a rerun starts over."
)
@click.option("--reactor", type=choice_of("service.reactor"), default="default", help="Twisted's event loop.")
@click.option("--serve", "serve_only", is_flag=True, help="Only serve the demo site, until Ctrl-C, for crawls of your own.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="The site's port on 127.0.0.1.  [default: a free one]")
def command(folder: str, serve_only: bool, port: int, reactor: str, **reporting: Any) -> Exit:
    """Crawl a small site that this program serves itself on 127.0.0.1, and say what was seen.

    The site has chapters, redirects, a loop, robots.txt, a sitemap, a trap, errors, a slow page and broken HTML.
    """
    report = choose_report(quiet=reporting["quiet"], as_json=reporting["as_json"])
    from crawler.cli.reactors import install

    if serve_only:
        return _serve(install(reactor), port)
    _check_home(Path(folder))
    return _crawl(install(reactor), Path(folder), port, report, reporting["verbose"])


def _serve(reactor: Any, port: int) -> Exit:
    base = _listen(reactor, port)
    click.echo(base)
    click.echo(f"Serving the demo site at {base} until Ctrl-C. In another terminal: crawl run {base}", err=True)
    reactor.run()
    return Exit.FINISHED


def _listen(reactor: Any, port: int) -> str:
    from twisted.internet.error import CannotListenError

    from crawler.cli.demo_site import serve

    try:
        return serve(reactor, port)
    except CannotListenError as error:
        raise UsageError(f"--port {port}: cannot be listened on ({error.socketError}); leave it out for a free one") from error


def _check_home(folder: Path) -> None:
    """Refuse a home with a crawl that is not the demo's. Raises UsageError."""
    if not (folder / DATABASE).exists():
        return
    reader = HomeReader(folder)
    try:
        agent = reader.job().settings.politeness.user_agent
    except HomeError:
        return  # a home without a job yet
    finally:
        reader.close()
    if not agent.endswith("(demo)"):
        raise UsageError(f"{folder} holds a crawl that is not the demo's; choose another --dir")


def _crawl(reactor: Any, folder: Path, port: int, report: Report, verbosity: int) -> Exit:
    from crawler.cli.crawling import crawl_to_end
    from crawler.cli.log import start_logging
    from crawler.cli.summary import Summary

    base = _listen(reactor, port)
    job = make_job([base], load(flags=SETTINGS).settings)
    home = open_for(folder, job, fresh=True)
    report.note("start", f"Serving the demo site at {base} and crawling it into {folder}", site=base, home=str(folder))
    start_logging(report, verbosity)
    result = crawl_to_end(reactor, job, home, report, verbosity=verbosity)
    summary = Summary(result, job, str(folder), outputs=[])
    report.note("summary", summary.text(), **summary.fields())
    if result.state != "finished":
        return summary.exit_code
    return _tell(result, job, folder, report)


def _tell(result: Result, job: Job, folder: Path, report: Report) -> Exit:
    """Hold the crawl against what the site is made to bring about, and explain it."""
    deviations = compare(folder, job.seeds[0].rstrip("/"))
    message = "\n".join(["", *explanation(result, job.seeds[0], str(folder))])
    if deviations:
        message += "\n\nNot as the demo site should be seen:\n" + "\n".join(f"  {line}" for line in deviations)
    else:
        message += "\n\nEvery URL of the site came to exactly the end it should."
    report.note("demo", message, deviations=deviations)
    return Exit.FAULT if deviations else Exit.FINISHED


def compare(folder: Path, base: str) -> list[str]:
    """Return what differs from the demo site's own list of outcomes, a line for each URL."""
    from crawler.cli.demo_site import expected

    found = []
    reader = HomeReader(folder)
    try:
        for path, wanted in expected().items():
            url = path if path.startswith("http") else base + path
            known = reader.known(url)
            seen = (str(known.record.outcome), known.record.reason) if known.record is not None else (known.state, known.rule)
            if seen != wanted:
                found.append(f"{url}: {_words(seen)}, not {_words(wanted)}")
        urls = [record.url for record in reader.records()]
    finally:
        reader.close()
    if len(urls) != len(set(urls)):
        found.append("some URLs have more than one record")
    return found


def _words(seen: tuple[str, str | None]) -> str:
    return " ".join(part for part in seen if part)


def explanation(result: Result, base: str, folder: str) -> list[str]:
    """Return what a newcomer should notice, with a command to look closer."""
    from crawler.cli.demo_site import HIDDEN, MONTHS

    outcomes, reasons = result.snapshot.outcomes, result.snapshot.reasons
    why = f"crawl why {shlex.quote(folder)} {base}"
    return [
        "What you saw:",
        f"- {plural(outcomes.get(Outcome.FETCHED, 0), 'URL')} fetched, each exactly once; {HIDDEN} of them only the sitemap names.",
        f"- {plural(reasons.get('robots', 0), 'URL')} not asked for, because robots.txt forbids them:",
        f"    {why}private/diary.html",
        f"- {plural(outcomes.get(Outcome.REDIRECTED, 0), 'redirect')}, recorded as such; two point at each other and did no harm.",
        f"- A calendar whose 'next month' never ends: after {MONTHS} months a rule closed it:",
        f"    {why}calendar/{'next/' * MONTHS}",
        f"- {plural(reasons.get('http_error', 0), 'URL')} failed (404, 500): kept with their reasons.",
        f"- Links to another site and one marked rel=nofollow were left alone: crawl status {shlex.quote(folder)}",
        f"The records, one JSON object a line: {Path(folder) / RECORDS}",
        "A site of your own: crawl run https://example.com/",
    ]
