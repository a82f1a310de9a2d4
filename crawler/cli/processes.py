"""``crawl run --processes N``: one crawl in several processes, begun, watched, summed up and written out by this one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from crawler.cli.crawling import stop_in_steps
from crawler.cli.derived import COMPLETE, Derived, refuse_unmade, tell_finished
from crawler.cli.quantities import plural
from crawler.cli.report import Report
from crawler.config import Settings
from crawler.errors import Exit, UsageError
from crawler.job import Job
from crawler.model import Result
from crawler.shards.layout import ShardsHome, open_shards, shard_folder
from crawler.shards.merge import check_output, missing, write_output
from crawler.shards.messages import Begin, Note
from crawler.shards.reader import ShardsReader


def check_possible(settings: Settings, options: dict[str, Any]) -> None:
    """Raise UsageError for what several processes could not do exactly as one does it."""
    processes = settings.service.processes
    reasons = {
        "--depth": (
            settings.scope.depth is not None,
            "counts the shortest path to each page, which several processes cannot pass on to each other",
        ),
        "--cookies": (
            settings.fetch.cookies or settings.fetch.cookie_file is not None,
            "cookies of one host would not reach another's process",
        ),
        "--output -": (
            "-" in options["outputs"],
            "the records of several processes cannot be streamed; name a file, or use 'crawl export'",
        ),
        "--profile": (options["profile"] is not None, "tells of one reactor; leave --processes out to profile it"),
        "--concurrency": (
            settings.fetch.concurrency < processes,
            f"each of the {processes} processes needs one request in flight at least",
        ),
    }
    for option, (refused, why) in reasons.items():
        if refused:
            raise UsageError(f"--processes {processes} does not go with {option}: {why}")


def run_processes(job: Job, folder: str, report: Report, options: dict[str, Any], files: list[str], *, derived: Derived) -> Exit:
    """Crawl in ``service.processes`` processes; `files` are outputs of lines. Raises the CrawlError that ended it, if one did."""
    home = open_shards(Path(folder), job, fresh=options["fresh"])
    try:
        for file in files:
            check_output(home, file, overwrite=options["overwrite"])
        if _is_done(home):
            return _leave_alone(home, folder, report, files, derived)
        derived.claim()
        return _crawl(home, folder, report, options, files, derived=derived)
    finally:
        home.close()


def _reader(home: ShardsHome) -> ShardsReader:
    return ShardsReader(home.folder, home.layout)


def _is_done(home: ShardsHome) -> bool:
    """Say whether the crawl is finished, and the job asks for no more of it."""
    reader = _reader(home)
    try:
        counters, ended = reader.status().counters, reader.is_finished()
    finally:
        reader.close()
    limit = home.layout.job.settings.scope.max_pages
    return ended and (not counters.queued or (limit is not None and limit <= counters.pages))


def _leave_alone(home: ShardsHome, folder: str, report: Report, files: list[str], derived: Derived) -> Exit:
    lacking = missing(home, files)
    for file in lacking:
        write_output(home, file)
    lacking += derived.write_missing()
    reader = _reader(home)
    pages = reader.status().counters.pages
    reader.close()
    tell_finished(report, folder, pages, lacking)
    return Exit.FINISHED


def _crawl(home: ShardsHome, folder: str, report: Report, options: dict[str, Any], files: list[str], *, derived: Derived) -> Exit:
    from crawler.cli.summary import Summary

    job = home.layout.job
    pages_before = _announce(home, folder, report)
    result = _conduct(home, report, options["verbose"])
    if result.why in COMPLETE:
        for file in files:
            write_output(home, file)
    elif files:
        report.note("outputs", f"Not written yet, as the crawl is not at its end: {', '.join(files)}", outputs=files)
    problems = derived.write_after(result)
    summary = Summary(result, job, folder, outputs=options["outputs"], pages_before=pages_before, max_failures=options["max_failures"])
    summary.tell(report)
    refuse_unmade(problems)
    return summary.exit_code


def _conduct(home: ShardsHome, report: Report, verbosity: int) -> Result:
    """Run the conductor in the reactor until the crawl has ended."""
    from crawler.cli.log import start_logging
    from crawler.cli.reactors import install, run_until
    from crawler.shards.child import ShardProcess
    from crawler.shards.conductor import Conductor

    job = home.layout.job
    reactor = install(job.settings.service.reactor)
    start_logging(report, verbosity)

    def tell(note: Note) -> None:
        report.note(note.event, note.message, **note.fields)

    conductor = Conductor(reactor, job, begins(home, verbosity), lambda: ShardProcess(reactor), tell)

    def start() -> Any:
        report.watch(reactor, conductor.snapshot)
        return conductor.run()

    try:
        result: Result = run_until(reactor, start, stop_in_steps(conductor, report, job.settings.service.stop_timeout))
    finally:
        report.close()
    return result


def begins(home: ShardsHome, verbosity: int) -> list[Begin]:
    """Return what each shard is told first: the job with its share of what one process would use."""
    processes = home.layout.processes
    return [
        Begin(shard_job(home.layout.job, number), str(shard_folder(home.folder, number)), number, processes, verbosity)
        for number in range(processes)
    ]


def shard_job(job: Job, number: int) -> Job:
    """Return the job of one shard: budgets are the conductor's, requests in flight and workers are spread over all."""
    settings = job.settings
    processes = settings.service.processes
    change = msgspec.structs.replace

    def share(total: int) -> int:
        return total // processes + (number < total % processes)

    scope = change(settings.scope, max_pages=None, max_time=None)
    fetch = change(settings.fetch, concurrency=share(settings.fetch.concurrency), stalled=share(settings.fetch.stalled))
    parse = change(settings.parse, workers=max(1, share(settings.parse.workers or os.cpu_count() or 1)))
    return change(job, settings=change(settings, scope=scope, fetch=fetch, parse=parse))


def _announce(home: ShardsHome, folder: str, report: Report) -> int:
    """Say what begins or goes on; return how many pages there are."""
    job, processes = home.layout.job, home.layout.processes
    reader = _reader(home)
    counters = reader.status().counters
    reader.close()
    if counters.admitted:
        message = f"Resuming the crawl in {folder}: {plural(counters.done, 'URL')} done, {plural(counters.queued, 'URL')} queued."
        report.note("start", message, home=folder, resumed=True, done=counters.done, queued=counters.queued, processes=processes)
    else:
        more = f" and {plural(len(job.seeds) - 1, 'more seed')}" if len(job.seeds) > 1 else ""
        message = f"Crawling {job.seeds[0]}{more} into {folder}, in {processes} processes"
        report.note("start", message, home=folder, resumed=False, seeds=len(job.seeds), processes=processes)
    return counters.pages
