"""``crawl run``: crawl a site, or go on where an earlier run stopped."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from crawler import url as urls
from crawler.cli.derived import Derived, as_begun, refuse_unmade, split_outputs, tell_finished, with_needed
from crawler.cli.job_files import load_job_file
from crawler.cli.options import SectionedCommand, given_settings, parse_headers, run_sections
from crawler.cli.proxy_options import check_proxies
from crawler.cli.quantities import plural
from crawler.cli.report import Report
from crawler.cli.site_options import merged_sites, open_session
from crawler.cli.terminal import choose_report
from crawler.config import Loaded, Settings, config_file_from, load
from crawler.errors import Exit, InvalidConfig, UsageError
from crawler.fetch.guard import parse_network
from crawler.fetch.unverified import parse_host_pattern
from crawler.job import Job, canonical_seed, differences, make_job
from crawler.parse.extractors import available
from crawler.policy.host_limits import host_pattern
from crawler.shards.layout import refuse_several
from crawler.store.counters import Counters
from crawler.store.home import Home, open_home
from crawler.store.reader import HomeReader
from crawler.store.schema import read_meta

if TYPE_CHECKING:
    from crawler.fetch.sites import Session
    from crawler.jobfile.read import JobFile

EPILOG: Final = (
    "Run the same command again to go on with a crawl that was interrupted. Ctrl-C stops within --stop-timeout, a second one at once; "
    "neither loses anything. Each setting can also come from the environment or a file: 'crawl config show'."
)


@click.command(cls=SectionedCommand, sections=run_sections(), epilog=EPILOG, options_metavar="[OPTIONS]")
@click.argument("seeds", nargs=-1, metavar="[URL]...")
@click.pass_context
def command(ctx: click.Context, /, seeds: tuple[str, ...], **_options: Any) -> Exit:
    """Crawl from one or more URLs and keep one record per URL.

    The seeds' host is crawled, politely and obeying robots.txt, until nothing is left; every option narrows, widens or hastens that.
    """
    options = ctx.params
    job_file = load_job_file(options["job_file"]) if options["job_file"] is not None else None
    settings = load_settings(options["config_file"], given_settings(ctx), job_file)
    outputs = options["outputs"] = list(options["outputs"] or (job_file.outputs if job_file else []))
    job = make_job(_all_seeds(job_file, seeds, options["seeds_file"]), settings, job_file.extraction if job_file else None)
    job = with_needed(job, outputs)
    if job.settings.store.text != "off" and (lacking := available(job.settings.store.extractor)):
        raise UsageError(lacking)
    files = check_outputs(outputs, fresh=options["fresh"], overwrite=options["overwrite"])
    check_writable(options["profile"])
    if settings.service.processes > 1:
        from crawler.cli.processes import check_possible

        check_possible(settings, options)
    session = open_session(settings.fetch, job.seeds)
    folder = options["folder"] or (job_file.default_home if job_file else default_folder(job.seeds[0]))
    report = choose_report(quiet=options["quiet"], as_json=options["as_json"], streaming="-" in outputs)
    if not options["fresh"]:
        job = as_begun(Path(folder), job, outputs)
    derived = Derived(folder, outputs, report)
    derived.check(fresh=options["fresh"], overwrite=options["overwrite"])
    if settings.service.processes > 1:
        from crawler.cli.processes import run_processes

        tell_unverified(settings, report)
        return run_processes(job, folder, report, options, files, derived=derived)
    refuse_several(Path(folder), fresh=options["fresh"])
    home = open_home(Path(folder), fresh=options["fresh"])
    try:
        finished = is_done(home, job)
        if not finished:
            home.adopt(job)
            home.open_files(files, overwrite=options["overwrite"])
            derived.claim()
    except BaseException:
        home.close()
        raise
    if finished:
        return _leave_alone(home, folder, report, files, derived, overwrite=options["overwrite"])
    return _crawl(home, job, folder, report, options, derived=derived, session=session)


def load_settings(config_file: str | None, flags: dict[str, Any], job_file: JobFile | None = None) -> Settings:
    """Return the settings of this process: flags over environment over job file over configuration file over defaults.

    Raises InvalidConfig, also for headers that cannot be sent; UsageError for a flag with a network or a host that is none.
    """
    job = (str(job_file.path), job_file.values) if job_file is not None else None
    file = Path(config_file) if config_file else config_file_from(os.environ)
    if "fetch.sites" in flags:
        before = load(file=file, job=job, environment=os.environ).settings.fetch.sites
        flags = {**flags, "fetch.sites": merged_sites(before, flags["fetch.sites"])}
    loaded = load(file=file, job=job, environment=os.environ, flags=flags)
    if "fetch.headers" not in flags:
        try:
            parse_headers([f"{name}: {value}" for name, value in loaded.settings.fetch.headers.items()])
        except UsageError as error:
            raise InvalidConfig(f"{loaded.origins['fetch.headers']}: {str(error).removeprefix('--header ')}") from error
    check_hosts(loaded)
    check_proxies(loaded)
    return loaded.settings


def check_hosts(loaded: Loaded) -> None:
    """Raise UsageError or InvalidConfig for what is no network or no host in a setting that is about some."""
    fetch, polite = loaded.settings.fetch, loaded.settings.politeness
    for setting, option, texts, parse in (
        ("fetch.allow_addresses", "--allow-address", fetch.allow_addresses, parse_network),
        ("fetch.insecure", "--insecure", fetch.insecure, parse_host_pattern),
        ("politeness.hosts", "", list(polite.hosts), host_pattern),
    ):
        place = loaded.origins[setting]
        for text in texts:
            try:
                parse(text)
            except ValueError as error:
                if place.startswith("option "):
                    raise UsageError(f"{option} {error}") from error
                raise InvalidConfig(f"{place}: {error}") from error


def tell_unverified(settings: Settings, report: Report) -> None:
    """Say whose certificates are not verified, if anybody's."""
    hosts = settings.fetch.insecure
    if hosts:
        report.note("insecure", f"Certificates are not verified: {', '.join(hosts)}", hosts=hosts)


def _all_seeds(job_file: JobFile | None, given: tuple[str, ...], seeds_file: str | None) -> list[str]:
    """Return the seeds of a job file, the command line and a list, in this order. A list that is named here stands in for the job's."""
    if job_file is None:
        return [*given, *read_seeds(seeds_file)]
    listed = "-" if seeds_file is None and job_file.seeds_from_stdin else seeds_file
    return [*job_file.seeds, *given, *read_seeds(listed)]


def read_seeds(file: str | None) -> list[str]:
    """Return the URLs listed in a file ('-': standard input), one a line; raises UsageError naming the line that is none."""
    if file is None:
        return []
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"--seeds-file {file}: cannot be read: {reason}") from error
    seeds = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                seeds.append(canonical_seed(line))
            except UsageError as error:
                raise UsageError(f"--seeds-file {file}, line {number}: {error}") from error
    return seeds


def check_outputs(outputs: list[str], *, fresh: bool, overwrite: bool) -> list[str]:
    """Return the outputs that are files to append to, after all checks that can be made before the home is opened.

    With `fresh` the home is deleted on opening: what would be refused then is refused now. Raises UsageError.
    """
    files = split_outputs(outputs)
    for file in files if fresh and not overwrite else []:
        path = Path(file)
        if path.is_file() and path.stat().st_size:
            raise UsageError(f"--output {file}: exists already, and --fresh starts over; choose another name, or --overwrite replaces it")
    return files


def check_writable(file: str | None) -> None:
    """Raise UsageError when `file`, written only at the end, could not be."""
    if file is None:
        return
    path = Path(file)
    if path.is_dir() or not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise UsageError(f"--profile {file}: cannot be written")


def default_folder(seed: str) -> str:
    """Return the home of a crawl whose user did not name one: ``example.com.crawl``, with the port if it is an odd one."""
    name = urls.netloc(seed).replace("[", "").replace("]", "").replace(":", "-")
    return f"{name}.crawl"


def is_done(home: Home, job: Job) -> bool:
    """Say whether the home holds this very crawl, finished, and the job asks for no more of it.

    Raises UsageError when it holds another crawl.
    """
    before = home.job()
    if home.state != "finished" or before is None:
        return False
    if differences(before, job):
        home.adopt(job)  # refuses, saying what differs
    if read_meta(home.connection, "why") != "max_pages":
        return True
    limit = job.settings.scope.max_pages
    return limit is not None and limit <= Counters.load(home.connection).pages


def _leave_alone(home: Home, folder: str, report: Report, files: list[str], derived: Derived, *, overwrite: bool) -> Exit:
    try:
        pages = Counters.load(home.connection).pages
        written = [*home.write_missing(files, overwrite=overwrite), *derived.write_missing()]
    finally:
        home.close()
    tell_finished(report, folder, pages, written)
    return Exit.FINISHED


def _crawl(
    home: Home, job: Job, folder: str, report: Report, options: dict[str, Any], *, derived: Derived, session: Session | None
) -> Exit:
    outputs = list(options["outputs"])
    pages_before = Counters.load(home.connection).pages
    from crawler.cli.reactors import install

    _announce(home, job, folder, report)
    tell_unverified(job.settings, report)
    reactor = install(job.settings.service.reactor)
    from crawler.cli.crawling import crawl_to_end
    from crawler.cli.log import start_logging
    from crawler.cli.summary import Summary

    start_logging(report, options["verbose"])
    result = crawl_to_end(
        reactor, job, home, report, session=session, stream="-" in outputs, profile=options["profile"], verbosity=options["verbose"]
    )
    problems = derived.write_after(result)
    summary = Summary(result, job, folder, outputs=outputs, pages_before=pages_before, max_failures=options["max_failures"])
    summary.tell(report)
    if options["profile"]:
        report.note("profile", f"Profile: {options['profile']} (python -m pstats shows it)", file=options["profile"])
    refuse_unmade(problems)
    return summary.exit_code


def _announce(home: Home, job: Job, folder: str, report: Report) -> None:
    if home.resumed:
        reader = HomeReader(home.folder)
        status = reader.status()
        reader.close()
        done, queued = status.counters.done, status.queued
        report.note(
            "start",
            f"Resuming the crawl in {folder}: {plural(done, 'URL')} done, {plural(queued, 'URL')} queued.",
            home=folder,
            resumed=True,
            done=done,
            queued=queued,
        )
        return
    more = f" and {plural(len(job.seeds) - 1, 'more seed')}" if len(job.seeds) > 1 else ""
    report.note("start", f"Crawling {job.seeds[0]}{more} into {folder}", home=folder, resumed=False, seeds=len(job.seeds))
