"""The outputs of a crawl that are made when it has come to its end: checked before it begins, made from its logs after it.

`CLAIMED`, a file in the home, says which of them are this crawl's, and how many URLs were done when each was made: one that is of an
earlier end is made again, one that somebody else made is left alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from crawler.cli.quantities import plural
from crawler.cli.report import Report
from crawler.cli.sources import source_of
from crawler.config import setting, with_values
from crawler.errors import CrawlError, HomeError, StoreError, UsageError
from crawler.export.formats import Output, needed_settings, parse_output, settings_of, write
from crawler.export.targets import check_target, index_of
from crawler.job import Job
from crawler.model import Result
from crawler.secret import without_password
from crawler.shards.reader import open_reader
from crawler.store.home import DERIVED

COMPLETE: Final = ("done", "max_pages", "max_time")
"""Ends at which outputs are made: a budget that was reached is an end like any other."""

_NOT_MADE: Final = -1


class Derived:
    """The derived outputs of the crawl in `folder`."""

    def __init__(self, folder: str, names: Iterable[str], report: Report) -> None:
        """`names` may hold streamed outputs, too: they are somebody else's. Raises UsageError for a name that is none."""
        self._folder = Path(folder)
        self._outputs = [output for output in map(parse_output, names) if not output.is_streamed]
        self._report = report

    def check(self, *, fresh: bool, overwrite: bool) -> None:
        """Raise what would keep an output from being made at the end, where that can be known now."""
        ours = {} if fresh else self._claimed()
        for output in self._outputs:
            if output.is_local and self._folder.absolute() in Path(output.target).absolute().parents:
                raise UsageError(f"--output {output.target}: lies in the crawl's home; choose another folder")
            check_target(output, overwrite=overwrite or _name(output) in ours)

    def claim(self) -> None:
        """Remember that the outputs are this crawl's, before they are there."""
        claimed = self._claimed()
        if new := {_name(output): _NOT_MADE for output in self._outputs if _name(output) not in claimed}:
            self._remember({**claimed, **new})

    def write_after(self, result: Result) -> list[str]:
        """Make all outputs of a crawl that has come to its end, and tell of each; return what went wrong."""
        if not self._outputs:
            return []
        if result.why in COMPLETE:
            return self._write_or_tell()
        names = ", ".join(_shown(output) for output in self._outputs)
        self._report.note(
            "outputs", f"Not made yet, as the crawl is not at its end: {names}", outputs=[_shown(output) for output in self._outputs]
        )
        return []

    def _write_or_tell(self) -> list[str]:
        try:
            with interruptible():
                return self._write(self._outputs)
        except KeyboardInterrupt:
            self._report.note(
                "outputs", "Interrupted while outputs were made. The crawl is complete: the same command makes what is missing."
            )
            raise

    def write_missing(self) -> list[str]:
        """Make those outputs of a finished crawl that are not there or are of an earlier end; return their names.

        Raises the first CrawlError after all others have been tried.
        """
        claimed, done = self._claimed(), self._done()
        lacking = [output for output in self._outputs if claimed.get(_name(output)) != done or not _is_there(output)]
        refuse_unmade(self._write(lacking))
        return [_shown(output) for output in lacking]

    def _write(self, outputs: list[Output]) -> list[str]:
        problems = []
        reader = open_reader(self._folder)
        try:
            source, done = source_of(reader), reader.status().counters.done
            for output in outputs:
                try:
                    count = write(output, source)
                except CrawlError as error:
                    problems.append(str(error))
                    continue
                self._remember({**self._claimed(), _name(output): done})
                message = f"wrote {_shown(output)}: {plural(count, output.things)}"
                self._report.note("output", message, output=_shown(output), format=output.format.name, count=count)
        finally:
            reader.close()
        return problems

    def _done(self) -> int:
        reader = open_reader(self._folder)
        try:
            return reader.status().counters.done
        finally:
            reader.close()

    def _claimed(self) -> dict[str, int]:
        try:
            return msgspec.json.decode((self._folder / DERIVED).read_bytes(), type=dict[str, int])
        except (OSError, msgspec.DecodeError):  # nothing is claimed: what is there is somebody else's
            return {}

    def _remember(self, claimed: dict[str, int]) -> None:
        path = self._folder / DERIVED
        temporary = path.with_suffix(".new")
        try:
            temporary.write_bytes(msgspec.json.encode(claimed))
            temporary.replace(path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let signals end what is done here: the reactor whose affair they were is over. What was ignored (nohup) stays ignored."""
    from crawler.cli.reactors import SIGNALS

    before = {number: handler for number in SIGNALS if (handler := signal.getsignal(number)) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def refuse_unmade(problems: list[str]) -> None:
    """Raise StoreError when there were problems with outputs of a crawl that is well otherwise."""
    if problems:
        raise StoreError("\n".join([*problems, "The crawl is complete: the same command makes what is missing."]))


def tell_finished(report: Report, folder: str, pages: int, written: list[str]) -> None:
    """Tell that a crawl is finished already, and which of its outputs were `written` all the same."""
    did = f"wrote {', '.join(written)} from what it keeps" if written else "nothing to do"
    report.note(
        "nothing_to_do",
        f"The crawl in {folder} is finished ({plural(pages, 'page')}): {did}.\n"
        f"'crawl export {folder}' writes its records; --fresh starts over, --dir DIR crawls elsewhere.",
        home=folder,
        pages=pages,
        outputs=written,
    )


def split_outputs(outputs: list[str]) -> list[str]:
    """Return the outputs that are files to which a running crawl appends, in their order. Raises UsageError."""
    parsed = [parse_output(output) for output in outputs]
    names = [_name(output) for output in parsed]
    for output, name in zip(parsed, names, strict=True):
        if names.count(name) > 1:
            raise UsageError(f"--output: {_shown(output)} is given twice")
        index = index_of(output)
        if index is not None and os.path.abspath(index) in names:  # noqa: PTH100 - as in _name
            raise UsageError(f"--output {index}: is written beside {_shown(output)} in any case; leave it out")
    return [output.target for output in parsed if output.is_streamed and output.is_local]


def with_needed(job: Job, outputs: list[str]) -> Job:
    """Return the job that keeps what its outputs are made of. Raises UsageError where it asks for another form of it."""
    needed = needed_settings(outputs)
    text = job.settings.store.text
    if needed.get("store.text", text) != text and text != "off":
        name = next(name for name in outputs if settings_of(parse_output(name)).get("store.text", text) != text)
        wanted = assigned("store.text", needed["store.text"])
        raise UsageError(f"--output {name}: needs {wanted}, and it is set to {text!r}: change one of them")
    return _changed(job, needed)


def as_begun(folder: Path, job: Job, outputs: list[str]) -> Job:
    """Return the job with what the crawl in `folder` has kept from its beginning, so that all of its pages are kept alike.

    Raises UsageError where the job asks for what was not kept of the pages so far.
    """
    before = _begun(folder)
    if before is None:
        return job
    kept: dict[str, Any] = {}
    for key in ("store.archive", "store.text", "scope.requisites"):
        then, now = setting(before.settings, key), setting(job.settings, key)
        if then == now:
            continue
        if now not in (False, "off"):
            users = [name for name in outputs if key in settings_of(parse_output(name))]
            why = f"--output {without_password(users[0])}: needs" if users else f"{folder}:"
            was = f"it was {_toml(then)}" if then not in (False, "off") else "that was not kept"
            raise UsageError(
                f"{why} {assigned(key, now)}, but when the crawl in {folder} began, {was}: leave it out, choose another --dir, or start "
                "over with --fresh"
            )
        kept[key] = then
    return _changed(job, kept)


def _begun(folder: Path) -> Job | None:
    """Return the job of the crawl in `folder`, when it has admitted any URL; what is wrong with a home is told when it is opened."""
    import sqlite3

    try:
        reader = open_reader(folder)
    except HomeError:
        return None
    try:
        return reader.job() if reader.status().counters.admitted else None
    except (HomeError, sqlite3.DatabaseError, msgspec.DecodeError):
        return None
    finally:
        reader.close()


def _changed(job: Job, values: dict[str, Any]) -> Job:
    return msgspec.structs.replace(job, settings=with_values(job.settings, values))


def assigned(key: str, value: Any) -> str:
    """Return a setting as a job file has it: ``store.text = 'markdown'``."""
    return f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _name(output: Output) -> str:
    """Return what tells an output from others: the absolute path, or the address without its password."""
    target = os.path.abspath(output.target) if output.is_local else without_password(output.target)  # noqa: PTH100 - resolve() would follow a symlink
    if output.is_local:
        return target
    return "?".join([target, *(f"{key}={value}" for key, value in sorted(output.options.items()))])


def _shown(output: Output) -> str:
    return output.given if output.is_local else without_password(output.given)


def _is_there(output: Output) -> bool:
    return not output.is_local or Path(output.target).exists()
