"""Who may open a home, and what is refused as one."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from open_store import crawled, reopen, store
from twisted.internet.threads import deferToThread

from crawler.config import Settings
from crawler.errors import HomeError, UsageError
from crawler.job import make_job
from crawler.store.home import Home, is_locked, open_home
from crawler.store.operations import Postponement, StateChange
from crawler.store.reader import HomeReader

# -- who may open a home ---------------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from pathlib import Path
from crawler.store.home import open_home
home = open_home(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


async def test_a_home_is_one_process_at_a_times_also_after_kill_9(tmp_path: Path) -> None:
    with held(tmp_path / "h") as process:
        assert is_locked(tmp_path / "h") == process.pid
        with pytest.raises(HomeError, match=rf"in use by another process \(pid {process.pid}\)"):
            await deferToThread(open_home, tmp_path / "h")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert is_locked(tmp_path / "h") is None
        open_home(tmp_path / "h").close()


def test_two_homes_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    home = open_home(tmp_path / "h")
    with pytest.raises(HomeError, match="in use"):
        open_home(tmp_path / "h")
    home.close()
    open_home(tmp_path / "h").close()


async def test_reading_a_home_does_not_need_its_lock(tmp_path: Path) -> None:
    async with store(tmp_path / "h") as one:
        await one.writer.submit(StateChange("running"))
        reader = HomeReader(tmp_path / "h")
        assert reader.status().state == "running"
        reader.close()
    reader = HomeReader(tmp_path / "h")
    assert reader.status().state == "stopped"  # it says running, and nobody does
    reader.close()


def test_what_is_not_a_home_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    (tmp_path / "other").mkdir()
    other = sqlite3.connect(tmp_path / "other" / "crawl.sqlite")
    other.execute("CREATE TABLE t (x)")
    other.close()
    for name, message in {"file": "is a file", "full": "holds other files", "other": "made by another program"}.items():
        for fresh in (False, True):
            with pytest.raises(HomeError, match=message):
                open_home(tmp_path / name, fresh=fresh)
    assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["thesis.tex"]
    with pytest.raises(HomeError, match="is not a crawl's home"):
        HomeReader(tmp_path / "full")


def test_a_home_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    home = open_home(tmp_path / "h")
    home.connection.execute("PRAGMA user_version = 99")
    home.close()
    for opener in (open_home, HomeReader):
        with pytest.raises(HomeError, match=r"newer version of Crawl.*upgrade"):
            opener(tmp_path / "h")
    assert is_locked(tmp_path / "h") is None


def test_a_home_of_an_older_version_is_refused_but_can_be_started_over(tmp_path: Path) -> None:
    home = open_home(tmp_path / "h")
    home.connection.execute("DROP TABLE urls")
    home.connection.execute("PRAGMA user_version = 1")
    home.close()
    for opener in (open_home, HomeReader):
        with pytest.raises(HomeError, match=r"older version of Crawl.*format 1.*--fresh"):
            opener(tmp_path / "h")
    home = open_home(tmp_path / "h", fresh=True)
    assert home.connection.execute("SELECT count(*) FROM urls").fetchone() == (0,)
    home.close()


@pytest.mark.parametrize("held", [0, 1 << 18])
async def test_a_reader_knows_urls_wherever_their_keys_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr("crawler.frontier.fresh._HELD", held)
    async with store(tmp_path / "h") as one:
        first, second = await one.admit(1, 2)
        await one.finish(first)
        await one.writer.submit(Postponement(second, 1, 5.0))
    reader = HomeReader(tmp_path / "h")
    known = [reader.known(f"http://a/{number}") for number in (1, 2, 3)]
    reader.close()
    assert [(one.state, one.attempts, one.referrer) for one in known] == [
        ("done", None, "http://a/"),
        ("queued", 1, "http://a/"),
        ("unknown", None, None),
    ]
    assert known[0].record is not None


@pytest.mark.parametrize(
    ("start", "junk"), [(0, b"junk" * 1000), (100, b"\xff" * 4000), (4096, b"\xa5" * 60_000)], ids=["header", "root", "tables"]
)
async def test_a_damaged_database_is_told_in_one_line(tmp_path: Path, start: int, junk: bytes) -> None:
    await crawled(tmp_path / "h", 3)
    with (tmp_path / "h" / "crawl.sqlite").open("r+b") as file:
        file.seek(start)
        file.write(junk)
    with pytest.raises(HomeError, match=r"crawl\.sqlite"):
        open_home(tmp_path / "h")
    assert is_locked(tmp_path / "h") is None


def test_a_home_whose_making_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    for fresh in (True, False):
        folder = tmp_path / f"fresh {fresh}"
        folder.mkdir()
        half = sqlite3.connect(folder / "crawl.sqlite")
        half.execute("PRAGMA journal_mode = WAL")
        half.close()
        assert (folder / "crawl.sqlite").stat().st_size
        open_home(folder, fresh=fresh).close()


def test_an_output_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    home = open_home(tmp_path / "h")
    with contextlib.closing(home), pytest.raises(UsageError, match="not UTF-8"):
        home.open_files([os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl")], overwrite=False)


async def test_one_output_under_two_names_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="given twice"):
        await reopen(tmp_path / "h", [Path("o.csv"), tmp_path / "x" / ".." / "o.csv"])


async def test_another_job_is_refused_and_fresh_starts_over(tmp_path: Path) -> None:
    await crawled(tmp_path / "h", 3)
    (tmp_path / "h" / "note.txt").write_text("mine")
    home: Home = open_home(tmp_path / "h")
    with pytest.raises(UsageError, match="seeds: http://a/ then, http://b/ now"):
        home.adopt(make_job(["http://b/"], Settings()))
    assert list(home.read_records())
    home.close()
    home = open_home(tmp_path / "h", fresh=True)
    home.adopt(make_job(["http://b/"], Settings()))
    home.open_files([], overwrite=False)
    assert list(home.read_records()) == []
    assert not home.resumed
    home.close()
    assert (tmp_path / "h" / "note.txt").read_text() == "mine"
