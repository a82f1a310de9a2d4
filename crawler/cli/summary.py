"""The end of a crawl in words: what was fetched, what was not and why, where the records are, what can be done next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Final

import msgspec

from crawler.cli.derived import COMPLETE
from crawler.cli.quantities import format_bytes, format_count, format_duration, plural
from crawler.cli.report import Report
from crawler.cli.view import format_counts
from crawler.errors import Exit
from crawler.export.formats import parse_output
from crawler.job import Job
from crawler.model import Outcome, Record, Result
from crawler.secret import without_password
from crawler.shards.layout import records_of
from crawler.shards.reader import open_reader

_SHOWN: Final = 6  # reasons, rules
_SEEDS_SHOWN: Final = 3
_LIVE_ONLY: Final = ("in_flight", "parsing", "storing", "waiting_hosts", "workers")


def _shown(output: str) -> str:
    return without_password(output) if "://" in output else output


class Summary:
    """What a crawl came to. `pages_before` is what earlier runs had fetched; `max_failures` the failures that are still well.

    Of `outputs`, those are told that are there: not what is made at the end of a crawl that was interrupted.
    """

    def __init__(
        self, result: Result, job: Job, folder: str, *, outputs: list[str], pages_before: int = 0, max_failures: int | None = None
    ) -> None:
        self._result = result
        self._outcomes = result.snapshot.outcomes
        self._job = job
        self._folder = folder
        self._outputs = [_shown(output) for output in outputs if result.why in COMPLETE or parse_output(output).is_streamed]
        self._max_failures = max_failures
        elapsed = result.snapshot.elapsed
        self._rate = (result.fetched - pages_before) / elapsed if elapsed > 0 else 0.0

    def tell(self, report: Report) -> None:
        """Tell all of it, failures that are too many first."""
        if complaint := self.complaint():
            report.note("failures", complaint)
        report.note("summary", self.text(), **self.fields())

    @property
    def nothing_fetched(self) -> bool:
        """Whether the crawl came to its end without a single page, because of failures."""
        return self._result.state == "finished" and not self._outcomes.get(Outcome.FETCHED) and bool(self._outcomes.get(Outcome.FAILED))

    @property
    def exit_code(self) -> Exit:
        """The exit code of the crawl: a budget that was reached is an end like any other."""
        if self._result.state != "finished" and self._result.why not in ("max_pages", "max_time"):
            return Exit.INTERRUPTED
        failed = self._outcomes.get(Outcome.FAILED, 0)
        if self.nothing_fetched or (self._max_failures is not None and failed > self._max_failures):
            return Exit.FAILURES
        return Exit.FINISHED

    def text(self) -> str:
        """Return the summary for people."""
        lines = [self._ending(), *self._table()]
        lines.append(f"Records: {records_of(Path(self._folder))} ({plural(self._result.snapshot.done, 'line')})")
        lines += [f"         {output}" for output in self._outputs if output != "-"]
        return "\n".join([*lines, *self._next_steps()])

    def complaint(self) -> str | None:
        """Return why the exit code is `Exit.FAILURES`, or None when it is another."""
        if self.exit_code is not Exit.FAILURES:
            return None
        if self.nothing_fetched:
            return "\n".join(["No page could be fetched:", *self._failed_seeds()])
        failed = plural(self._result.failed, "URL")
        return f"{failed} failed, more than --max-failures {self._max_failures} allows."

    def fields(self) -> dict[str, Any]:
        """Return the summary for programs."""
        fields: dict[str, Any] = msgspec.to_builtins(self._result.snapshot)
        for name in _LIVE_ONLY:
            del fields[name]
        fields |= {"state": self._result.state, "why": self._result.why, "pages_per_second": round(self._rate, 1)}
        records = str(records_of(Path(self._folder)))
        return {**fields, "records": records, "outputs": self._outputs, "exit_code": int(self.exit_code)}

    def _ending(self) -> str:
        snapshot = self._result.snapshot
        took, left = format_duration(snapshot.elapsed), plural(snapshot.queued, "URL")
        if self._result.why == "max_pages":
            limit = self._job.settings.scope.max_pages
            return f"Stopped after {took} at --max-pages {limit}: {left} left. With a higher --max-pages the same command goes on."
        if self._result.why == "max_time":
            return f"Stopped after {took}, as --max-time says: {left} left. The same command goes on."
        if self._result.state != "finished":
            return f"Interrupted after {took}: {left} left, nothing is lost. The same command goes on."
        return f"Finished in {took}."

    def _table(self) -> list[str]:
        snapshot = self._result.snapshot
        lines = [
            f"  {Outcome.FETCHED:<15}{format_count(self._result.fetched):>6}   {self._rate:.0f} pages/s, {format_bytes(snapshot.bytes)}"
        ]
        others = [name for name in Outcome if name is not Outcome.FETCHED and self._outcomes.get(name)]
        lines += [f"  {name:<15}{format_count(self._outcomes[name]):>6}" for name in others]
        if snapshot.reasons:
            lines.append(f"  reasons:       {format_counts(snapshot.reasons, _SHOWN)}")
        if snapshot.items:
            lines.append(f"  items:         {format_counts(snapshot.items, _SHOWN)}")
        if snapshot.faults:
            lines.append(f"  rules failed:  {format_counts(snapshot.faults, _SHOWN)} ('crawl try JOB URL' shows why)")
        if any(snapshot.refused.values()):
            lines.append(f"  links refused: {format_counts(snapshot.refused, _SHOWN)}")
        return lines

    def _failed_seeds(self) -> list[str]:
        reader = open_reader(Path(self._folder))
        try:
            records = [reader.known(seed).record for seed in self._job.seeds[:_SEEDS_SHOWN]]
        finally:
            reader.close()
        return [f"  {describe_record(record)}" for record in records if record is not None]

    def _next_steps(self) -> list[str]:
        home = shlex.quote(self._folder)
        steps = [] if self.nothing_fetched else [f"crawl report {home} -o report.html", f"crawl export {home} -o pages.csv"]
        if self._result.snapshot.refused or self._result.snapshot.reasons:
            steps.append(f"crawl why {home} URL")
        return [f"{'Next:' if index == 0 else '':<9}{step}" for index, step in enumerate(steps)]


def describe_record(record: Record) -> str:
    """Return a record in a line: URL, outcome, reason, status, detail."""
    words = [record.outcome, *([f"({record.reason})"] if record.reason else []), *([f"status {record.status}"] if record.status else [])]
    detail = f": {record.detail}" if record.detail else ""
    return f"{record.url} {' '.join(words)}{detail}"
