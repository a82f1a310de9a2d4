"""``crawl check``: a site's broken links, for people and for CI."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from msgspec import Struct

from crawler.cli.options import Section, SectionedCommand, SettingOption, given_settings, run_sections
from crawler.cli.quantities import plural
from crawler.cli.report import Report, clean
from crawler.cli.reporting import STANDARD_OUTPUT, check_output, write_output
from crawler.cli.run import load_settings, tell_unverified
from crawler.cli.site_options import open_session
from crawler.cli.terminal import choose_report
from crawler.errors import Exit, UsageError
from crawler.job import Job, differences, make_job
from crawler.model import Result
from crawler.report.junit import junit
from crawler.report.links import by_page, find_broken
from crawler.report.model import Links
from crawler.report.sheet import links_csv
from crawler.report.wording import REASONS, why
from crawler.store.home import DATABASE, Home, open_for
from crawler.store.reader import HomeReader

SETTINGS: Final = {
    "store.record_links": True,
    "store.record_anchors": True,
    "scope.requisites": True,
    "scope.probe_external": True,
    "politeness.nofollow": False,  # such a link may be broken as any other
    "service.processes": 1,
}
"""What makes a crawl a check; options change the rest."""

EPILOG: Final = (
    "The exit code is 0 when every link leads somewhere, 12 when one does not, 11 when the check was interrupted. Links to other sites are "
    "asked for by HEAD (by GET where a server has no answer to that) and not followed; parts of their pages are not looked for."
)
_ENDINGS: Final = {".json": "json", ".csv": "csv", ".xml": "junit"}
_NOT_OFFERED: Final = ("politeness.nofollow", "fetch.accept")
_SECTIONS: Final = ("How politely", "How it is fetched", "How it connects")


class Checked(Struct, frozen=True):
    """What a check has found; its JSON form is this. The fields of `links` are `report.model.Links`."""

    seeds: list[str]
    complete: bool  # whether the crawl came to its end
    urls: int  # with an outcome
    left: int  # URLs that a limit left unchecked
    refused: dict[str, int]  # links that look like a site without end, by rule: they were not checked either
    links: Links


def _what_is_checked() -> Section:
    return Section(
        "What is checked",
        click.Option(["--external/--no-external"], default=None, help="Whether links to other sites lead anywhere.  [default: yes]"),
        click.Option(
            ["--fragments/--no-fragments"], default=None, help="Whether pages have the parts that links name (#part).  [default: yes]"
        ),
        click.Option(["--requisites/--no-requisites"], default=None, help="Images, style sheets, scripts, fonts, too.  [default: yes]"),
        click.Option(["--ignore"], multiple=True, metavar="REGEX", help="Leave out links in which REGEX is found. Repeatable."),
        SettingOption("--depth", key="scope.depth", type=click.IntRange(min=0), metavar="N", help="At most N links away from URL."),
        SettingOption("--max-pages", key="scope.max_pages", type=click.IntRange(min=1), metavar="N", help="Stop after N pages."),
        SettingOption("--traps/--no-traps", key="scope.traps", help="Leave out links that look like sites without end."),
        SettingOption(
            "--scope", key="scope.scope", type=click.Choice(["host", "domain", "prefix"]), help="What counts as the site of URL."
        ),
    )


def _what_is_written() -> Section:
    return Section(
        "What is written",
        click.Option(
            ["--format", "form"],
            type=click.Choice(["text", "json", "csv", "junit"]),
            help="[default: what FILE's name says (.json .csv .xml), else text]",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="The same as --format json."),
        click.Option(["-o", "--output"], default=STANDARD_OUTPUT, metavar="FILE", show_default=True, help="'-' is standard output."),
        click.Option(["--overwrite"], is_flag=True, help="Replace FILE if it is there."),
        click.Option(
            ["-d", "--dir", "folder"],
            type=click.Path(),
            help="Keep the crawl in this folder, for 'crawl report' and to go on after an interruption.  [default: a temporary one]",
        ),
        click.Option(["--config", "config_file"], type=click.Path(), metavar="FILE", help="Settings file (TOML)."),
        click.Option(["-v", "--verbose"], count=True, help="Tell more; twice: with tracebacks of faults."),
        click.Option(["-q", "--quiet"], is_flag=True, help="No progress."),
    )


def _sections() -> list[Section]:
    shared = [Section(section.heading, *_shared(section)) for section in run_sections() if section.heading in _SECTIONS]
    return [_what_is_checked(), *shared, _what_is_written()]


def _shared(section: Section) -> list[click.Option]:
    return [option for option in section.options if not (isinstance(option, SettingOption) and option.key in _NOT_OFFERED)]


@click.command(cls=SectionedCommand, sections=_sections(), epilog=EPILOG, options_metavar="[OPTIONS]")
@click.argument("seeds", nargs=-1, required=True, metavar="URL...")
@click.pass_context
def command(ctx: click.Context, /, seeds: tuple[str, ...], **_options: Any) -> Exit:
    """Crawl a site and tell its broken links, page by page: pages, images and files that are not there, parts of pages that are not.

    The whole site of URL is crawled, politely and obeying robots.txt.
    """
    options = ctx.params
    ignored = ignored_links(options["ignore"])
    form = "json" if options["as_json"] else options["form"] or _ENDINGS.get(Path(options["output"]).suffix.lower(), "text")
    check_output(options["output"], overwrite=options["overwrite"], text=True)
    job = make_job(list(seeds), load_settings(options["config_file"], check_settings(given_settings(ctx), options)))
    session = open_session(job.settings.fetch, job.seeds)
    report = choose_report(quiet=options["quiet"], as_json=False)
    with _home_folder(options["folder"]) as folder:
        home = _open(folder, job)
        report.note("start", f"Checking the links of {' '.join(job.seeds)}", seeds=job.seeds)
        result = _crawl(home, job, report, session, options["verbose"])
        checked = _read(folder, job, result, ignored, fragments=options["fragments"] is not False)
    write_output(options["output"], rendered(checked, form))
    if form != "text" or options["output"] != STANDARD_OUTPUT:
        report.note("checked", conclusion(checked), broken=checked.links.broken_count, urls=checked.urls)
    if not checked.complete:
        return Exit.INTERRUPTED
    return Exit.FAILURES if checked.links.broken_count else Exit.FINISHED


def check_settings(given: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a check, by ``section.key``; `given` are those of options that `crawl run` has, too."""
    chosen = {
        "scope.probe_external": options["external"],
        "store.record_anchors": options["fragments"],
        "scope.requisites": options["requisites"],
        "scope.exclude": list(options["ignore"]) or None,
    }
    return {**SETTINGS, **{key: value for key, value in chosen.items() if value is not None}, **given}


def ignored_links(expressions: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return one expression for all of ``--ignore``. Raises UsageError for one that is none."""
    for expression in expressions:
        try:
            re.compile(expression)
        except re.error as error:
            raise UsageError(f"--ignore {expression!r}: not a regular expression: {error}") from error
    return re.compile("|".join(f"(?:{expression})" for expression in expressions)) if expressions else None


@contextlib.contextmanager
def _home_folder(given: str | None) -> Iterator[Path]:
    if given is not None:
        yield Path(given)
        return
    with tempfile.TemporaryDirectory(prefix="crawl-check-") as folder:
        yield Path(folder)


def _open(folder: Path, job: Job) -> Home:
    """Open a home: an unfinished check in it is gone on with, one that is finished is made anew, any other crawl refused."""
    return open_for(folder, job, fresh=_is_finished_check(folder, job))


def _is_finished_check(folder: Path, job: Job) -> bool:
    if not (folder / DATABASE).exists():
        return False
    reader = HomeReader(folder)
    try:
        return reader.has_job() and reader.status().state == "finished" and not differences(reader.job(), job)
    finally:
        reader.close()


def _crawl(home: Home, job: Job, report: Report, session: Any, verbosity: int) -> Result:
    from crawler.cli.crawling import crawl_to_end
    from crawler.cli.log import start_logging
    from crawler.cli.reactors import install

    tell_unverified(job.settings, report)
    reactor = install(job.settings.service.reactor)
    start_logging(report, verbosity)
    return crawl_to_end(reactor, job, home, report, session=session, verbosity=verbosity)


def _read(folder: Path, job: Job, result: Result, ignored: re.Pattern[str] | None, *, fragments: bool) -> Checked:
    reader = HomeReader(folder)
    try:
        links = find_broken(reader.records, fragments=fragments, max_redirects=job.settings.fetch.max_redirects)
        refused = {rule: number for rule, number in reader.status().counters.refused.items() if rule.startswith("trap") and number}
    finally:
        reader.close()
    if ignored is not None:
        kept = [link for link in links.broken if not ignored.search(link.url)]
        links = msgspec.structs.replace(links, broken=kept, broken_count=links.broken_count - len(links.broken) + len(kept))
    complete = result.state == "finished" or result.why in ("max_pages", "max_time")
    return Checked(job.seeds, complete, result.snapshot.done, result.snapshot.queued, refused, links)


def rendered(checked: Checked, form: str) -> str:
    """Return what was found in the format that was asked for."""
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(checked), indent=1).decode() + "\n"
    if form == "csv":
        return links_csv(checked.links)
    if form == "junit":
        return junit(checked.links, name=f"links of {checked.seeds[0]}", urls=checked.urls)
    return "\n".join([*_text_lines(checked.links), conclusion(checked), ""])


def _text_lines(links: Links) -> Iterator[str]:
    for page, broken in by_page(links).items():
        yield page or "Where the check began:"
        for link in broken:
            yield f"  {link.url}"
            yield f"    {clean(why(link))}"
        yield ""


def conclusion(checked: Checked) -> str:
    """Return the result in a few lines."""
    links = checked.links
    pages = len(by_page(links))
    lines = [] if checked.complete else ["Interrupted: what follows is not all."]
    if links.broken_count:
        on = f" on {plural(pages, 'page')}" if any(link.pages for link in links.broken) else ""
        lines.append(f"{plural(links.broken_count, 'broken link')}{on}; {plural(checked.urls, 'URL')} checked.")
    else:
        lines.append(f"No broken links; {plural(checked.urls, 'URL')} checked.")
    not_checked = [(number, REASONS.get(reason, reason)) for reason, number in links.not_checked.items()]
    not_checked += [(number, f"looks like a site without end ({rule})") for rule, number in checked.refused.items()]
    not_checked += [(checked.left, "left by a limit (--max-pages)")] if checked.left and checked.complete else []
    told = [f"{plural(number, 'URL')}: {why_not}" for number, why_not in not_checked]
    if told:
        lines.append(f"Not checked: {'; '.join(told)}.")
    return "\n".join(lines)
