"""Outputs made at a crawl's end: whose they are, when they are made, what a signal does meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler.cli.derived import Derived, as_begun, split_outputs, with_needed
from crawler.config import Settings
from crawler.errors import StoreError, UsageError
from crawler.job import Job, make_job
from crawler.model import Result
from crawler.store.counters import Counters
from crawler.store.home import DERIVED, open_home
from crawler.store.schema import write_meta


class Notes:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def note(self, event: str, message: str, **_: Any) -> None:
        self.told.append((event, message))

    def watch(self, reactor: Any, snapshot: Any) -> None: ...

    def close(self) -> None: ...


def job(**store: Any) -> Job:
    settings = Settings()
    return make_job(["http://a.example/"], msgspec.structs.replace(settings, store=msgspec.structs.replace(settings.store, **store)))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which a crawl has not begun, with one URL counted as admitted when `begin` is called."""
    made = open_home(tmp_path / "home")
    made.adopt(job())
    made.close()
    return tmp_path / "home"


def ended(why: str) -> Result:
    return Result("finished", why, None, 0, 0)  # type: ignore[arg-type]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was written, instead of writing it; an output called ``broken`` cannot be."""
    made: list[str] = []

    def write(output: Any, _source: Any) -> int:
        if "broken" in output.given:
            raise StoreError(f"{output.given}: no space left")
        Path(output.target).touch()
        made.append(output.given)
        return 7

    monkeypatch.setattr("crawler.cli.derived.write", write)
    return made


def test_they_are_made_at_the_end_of_a_crawl_and_not_of_one_that_was_stopped(home: Path, written: list[str]) -> None:
    names = [str(home.parent / name) for name in ("a.parquet", "b.jsonl", "c.csv?items=book")]
    for why, made in (("signal", []), ("max_pages", [names[0], names[2]]), ("done", [names[0], names[2]])):
        notes = Notes()
        written.clear()
        assert Derived(str(home), names, notes).write_after(ended(why)) == []
        assert written == made
        assert [event for event, _ in notes.told] == (["output", "output"] if made else ["outputs"])


def test_one_that_cannot_be_made_does_not_keep_the_others_from_it(home: Path, written: list[str]) -> None:
    names = [str(home.parent / name) for name in ("broken.db", "a.parquet")]
    derived = Derived(str(home), names, Notes())
    assert derived.write_after(ended("done")) == [f"{names[0]}: no space left"]
    assert written == names[1:]
    with pytest.raises(StoreError, match=r"no space left\n.*the same command makes what is missing"):
        derived.write_missing()
    assert written == names[1:], "what is there and of this end is left alone"


def test_what_is_this_crawls_may_be_replaced_and_nothing_else(home: Path, written: list[str]) -> None:
    name = str(home.parent / "a.parquet")
    derived = Derived(str(home), [name], Notes())
    derived.check(fresh=False, overwrite=False)
    derived.claim()
    Path(name).write_text("half")
    derived.check(fresh=False, overwrite=False)
    with pytest.raises(UsageError, match="exists already"):
        derived.check(fresh=True, overwrite=False)
    (home / DERIVED).unlink()
    with pytest.raises(UsageError, match="exists already"):
        derived.check(fresh=False, overwrite=False)
    with pytest.raises(UsageError, match="lies in the crawl's home"):
        Derived(str(home), [f"{home}/a.parquet"], Notes()).check(fresh=False, overwrite=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_making_although_the_reactor_took_signals_before(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def write(*_: Any) -> int:
        os.kill(os.getpid(), number)
        return 0

    monkeypatch.setattr("crawler.cli.derived.write", write)
    notes = Notes()
    reactors: Callable[..., None] = lambda *_: None  # noqa: E731
    before = signal.signal(number, reactors)
    try:
        with pytest.raises(KeyboardInterrupt):
            Derived(str(home), ["a.parquet"], notes).write_after(ended("done"))
        assert signal.getsignal(number) is reactors
    finally:
        signal.signal(number, before)
    assert "the same command makes what is missing" in notes.told[-1][1]


def test_a_crawl_keeps_what_its_outputs_are_made_of() -> None:
    assert with_needed(job(), ["a.csv"]) == job()
    changed = with_needed(job(), ["a.wacz", "b.md/"]).settings
    assert (changed.store.archive, changed.store.text, changed.scope.requisites) == (True, "markdown", False)
    with pytest.raises(UsageError, match=r"b\.md/.*'markdown'.*'text'"):
        with_needed(job(text="text"), ["b.md/"])


def test_outputs_to_which_a_running_crawl_appends() -> None:
    assert split_outputs(["-", "a.jsonl", "a.csv?items=x", "b.jsonl.zst", "c.wacz"]) == ["a.jsonl", "b.jsonl.zst"]
    with pytest.raises(UsageError, match="given twice"):
        split_outputs(["a.parquet", "./a.parquet"])
    with pytest.raises(UsageError, match=r"a\.cdxj: is written beside a\.warc\.gz"):
        split_outputs(["./a.cdxj", "a.warc.gz"])
    assert split_outputs(["b.cdxj", "a.warc.gz"]) == []


def test_a_crawl_that_began_keeps_what_it_kept(home: Path) -> None:
    assert as_begun(home, job(archive=True), []) == job(archive=True), "no URL was admitted yet"
    made = open_home(home)
    made.adopt(job(archive=True))
    write_meta(made.connection, "counters", Counters(admitted=1))
    made.close()
    assert as_begun(home, job(), []) == job(archive=True)
    with pytest.raises(
        UsageError, match=r"--output b\.md/: needs store\.text = 'markdown', but when the crawl .* that was not kept.*--fresh"
    ):
        as_begun(home, with_needed(job(), ["b.md/"]), ["b.md/"])
    assert as_begun(home.parent / "absent", job(), []) == job()
