"""The home and its writer with real files, threads, processes: durable before acknowledged, whole or not at all, repaired on reopening."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from crawler.config import Settings, StoreSettings
from crawler.errors import CrawlError, HomeError, StoreError, UsageError
from crawler.frontier.sqlite import Candidate, SqliteFrontier
from crawler.job import make_job
from crawler.model import Kind, Outcome, Record, Task, Via
from crawler.store.commit import Admission, Committed, Completion, HostPause, Postponement, Refill, StateChange, Writer
from crawler.store.home import Home, is_locked, open_home
from crawler.store.outputs import Csv, JsonLines, StreamOutput, format_of
from crawler.store.reader import HomeReader
from crawler.store.refused import Refusal
from crawler.url import fingerprint

JOB = make_job(["http://a/"], Settings())
START = (-(1 << 62), 0)


def found(number: int) -> Candidate:
    url = f"http://a/{number}"
    return Candidate(fingerprint(url), url, "a", Kind.PAGE, Via.LINK, 1, 0, "http://a/")


def record(url: str, **values: Any) -> Record:
    known = dict.fromkeys(Record.__struct_fields__) | {"url": url, "outcome": Outcome.FETCHED, "depth": 1, "via": Via.LINK, "robots": []}
    return Record(**(known | {"attempts": 1, "bytes": 10} | values))  # type: ignore[arg-type]


def ended(task: Task, links: list[int] | None = None, **values: Any) -> Completion:
    return Completion(task, record(task.url, **values), [found(number) for number in links or []], [])


class Store:
    """An open home with a running writer."""

    def __init__(self, folder: Path, outputs: list[Path] | None = None, *, overwrite: bool = False, **settings: Any) -> None:
        self.home = open_home(folder)
        try:
            self.home.adopt(JOB)
            self.home.open_files([str(path) for path in outputs or []], overwrite=overwrite)
        except BaseException:
            self.home.close()
            raise
        values = {"commit_interval": 0.01} | settings
        self.writer = Writer(self.home, SqliteFrontier(self.home.connection), StoreSettings(**values), reactor)
        self.committed: list[Committed] = []
        self.writer.on_committed = self.committed.append
        self.writer.start()

    async def admit(self, *numbers: int) -> list[Task]:
        done = self.writer.submit(Admission([found(number) for number in numbers], []))
        self.writer.hurry()
        await done
        return self.committed[-1].tasks

    async def finish(self, *tasks: Task, **values: Any) -> None:
        done = gatherResults([self.writer.submit(ended(task, **values)) for task in tasks], consumeErrors=True)
        self.writer.hurry()
        await done


@contextlib.asynccontextmanager
async def store(folder: Path, outputs: list[Path] | None = None, **settings: Any) -> AsyncIterator[Store]:
    opened = Store(folder, outputs, **settings)
    try:
        yield opened
    finally:
        await opened.writer.close()


def lines(path: Path) -> list[str]:
    return [json.loads(line)["url"] for line in path.read_bytes().splitlines()]


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Let writes beyond `size` bytes of any file fail, as those on a full disk do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# -- commits ---------------------------------------------------------------------------------------------------------


async def test_what_is_acknowledged_is_in_files_and_database(tmp_path: Path) -> None:
    async with store(tmp_path / "h", [tmp_path / "o.jsonl", tmp_path / "o.csv"]) as one:
        (task,) = await one.admit(1)
        await one.finish(task, links=[2, 3], title="T")
        reader = HomeReader(tmp_path / "h")
        assert [found.url for found in reader.records()] == ["http://a/1"]
        assert (reader.status().queued, reader.status().counters.outcomes, reader.status().counters.bytes) == (2, {"fetched": 1}, 10)
        assert reader.known("http://a/1").record == record("http://a/1", title="T")
        assert reader.known("http://a/2").state == "queued"
        assert {path: (tmp_path / path).stat().st_size for path in ("o.jsonl", "o.csv")} == {
            Path(path).name: length for path, length in reader.status().outputs.items()
        }
        reader.close()
        assert lines(tmp_path / "o.jsonl") == lines(tmp_path / "h" / "records.jsonl") == ["http://a/1"]
        assert [task.url for task in one.committed[-1].tasks] == ["http://a/2", "http://a/3"]


async def test_operations_are_acknowledged_in_order_after_what_they_brought(tmp_path: Path) -> None:
    async with store(tmp_path / "h", commit_pages=3) as one:
        heard: list[object] = []
        one.writer.on_committed = lambda committed: heard.append(len(committed.tasks))
        waiting = [one.writer.submit(Admission([found(number)], [])) for number in range(7)]
        for number, done in enumerate(waiting):
            done.addCallback(lambda _, number=number: heard.append(f"ack {number}"))
        one.writer.hurry()
        await gatherResults(waiting)
        assert heard == [3, "ack 0", "ack 1", "ack 2", 3, "ack 3", "ack 4", "ack 5", 1, "ack 6"]
        assert one.writer.backlog == 0


async def test_a_batch_waits_for_more_until_it_is_full_or_its_time_is_up(tmp_path: Path) -> None:
    async with store(tmp_path / "h", commit_interval=0.3, commit_pages=1000) as one:
        started = time.monotonic()
        first = one.writer.submit(Admission([found(1)], []))
        second: Deferred[Any] = Deferred()
        reactor.callLater(0.05, lambda: one.writer.submit(Admission([found(2)], [])).chainDeferred(second))
        await gatherResults([first, second])
        assert 0.25 < time.monotonic() - started < 1.5
        assert len(one.committed) == 1


async def test_a_url_whose_fingerprint_another_one_has_is_known_with_its_attempts(tmp_path: Path) -> None:
    second = found(2)
    first = msgspec.structs.replace(found(1), key=second.key)
    async with store(tmp_path / "h") as one:
        done = one.writer.submit(Admission([first, second], []))
        one.writer.hurry()
        await done
        tasks = {task.url: task for task in one.committed[-1].tasks}
        assert tasks[second.url].key != second.key
        again = one.writer.submit(Postponement(tasks[second.url], 2, 0.0))
        one.writer.hurry()
        await again
        reader = HomeReader(tmp_path / "h")
        assert [(reader.known(one.url).state, reader.known(one.url).attempts) for one in (first, second)] == [
            ("unknown", None),
            ("queued", 2),
        ]
        reader.close()


async def test_a_hurry_commits_at_once(tmp_path: Path) -> None:
    async with store(tmp_path / "h", commit_interval=30.0) as one:
        started = time.monotonic()
        await one.admit(1)
        assert time.monotonic() - started < 5


async def test_reads_do_not_wait_for_a_batch(tmp_path: Path) -> None:
    async with store(tmp_path / "h", commit_interval=30.0) as one:
        tasks = await one.admit(1, 2, 3)
        heard: list[str] = []
        write = one.writer.submit(ended(tasks[0]))
        write.addCallback(lambda _: heard.append("write"))
        read = one.writer.submit(Refill("a", START, 2))
        rows, complete = await read
        assert heard == []
        assert ([task for task, _ in rows], complete) == (tasks[:2], False)
        one.writer.hurry()
        await write
        rows, complete = await one.writer.submit(Refill("a", START, 9))
        assert ([task for task, _ in rows], complete) == (tasks[1:], True)


async def test_closing_commits_what_is_queued_and_lets_go_of_the_lock(tmp_path: Path) -> None:
    one = Store(tmp_path / "h", commit_interval=30.0)
    done = one.writer.submit(Admission([found(1)], []))
    assert is_locked(tmp_path / "h") is not None
    await one.writer.close()
    assert done.called
    assert is_locked(tmp_path / "h") is None
    one.writer._thread.join(5)
    assert not one.writer._thread.is_alive()
    async with store(tmp_path / "h") as again:
        rows, _ = await again.writer.submit(Refill("a", START, 9))
        assert [task.url for task, _ in rows] == ["http://a/1"]


async def test_every_kind_of_operation_survives_a_reopening(tmp_path: Path) -> None:
    async with store(tmp_path / "h") as one:
        first, second = await one.admit(1, 2)
        refusal = Refusal(fingerprint("http://b/"), "http://b/", "scope:host", "http://a/1")
        operations = [
            Postponement(first, 1, 777.0),
            HostPause("a", 888.0),
            StateChange("stopped", "signal", 1.5),
            Admission([], [refusal, refusal], "http://a", b"{}"),
        ]
        done = gatherResults([one.writer.submit(operation) for operation in operations])
        one.writer.hurry()
        await done
    reader = HomeReader(tmp_path / "h")
    status, known = reader.status(), reader.known("http://b/")
    assert (status.state, status.counters.elapsed, status.counters.retries) == ("stopped", 1.5, 1)
    assert (known.state, known.rule, known.referrer) == ("refused", "scope:host", "http://a/1")
    assert status.counters.refused["scope:host"] == 1  # the same link twice is one
    assert (reader.robots("http://a"), reader.known("http://c/").state) == (b"{}", "unknown")
    reader.close()
    async with store(tmp_path / "h") as again:
        assert again.home.resumed
        rows, _ = await again.writer.submit(Refill("a", START, 9))
        assert rows == [(first.postponed(1), 777.0), (second, 0)]


async def test_lines_stream_out_after_their_commit(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    one = Store(tmp_path / "h")

    def write(data: bytes) -> None:
        with sqlite3.connect(tmp_path / "h" / "crawl.sqlite") as other:
            done = other.execute("SELECT count(*) FROM done").fetchone()[0]
        other.close()
        seen.append((json.loads(data)["url"], done))

    one.writer.streams.append(StreamOutput(JsonLines(), write))
    (task,) = await one.admit(1)
    await one.finish(task)
    await one.writer.close()
    assert seen == [("http://a/1", 1)]


async def test_a_reader_that_has_gone_ends_the_crawl_but_loses_nothing(tmp_path: Path) -> None:
    def write(_: bytes) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    async with store(tmp_path / "h") as one:
        one.writer.streams.append(StreamOutput(JsonLines(), write))
        (task,) = await one.admit(1)
        with pytest.raises(StoreError, match="standard output: Broken pipe"):
            await unpacked(one.finish(task))
    assert lines(tmp_path / "h" / "records.jsonl") == ["http://a/1"]
    async with store(tmp_path / "h") as again:
        assert (await again.writer.submit(Refill("a", START, 9)))[0] == []


async def unpacked(awaitable: Any) -> None:
    """Await a gatherResults and raise the error inside."""
    try:
        await awaitable
    except Exception as error:
        raise getattr(error, "subFailure", None).value if hasattr(error, "subFailure") else error from None


# -- a full disk, and faults of ours ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["records.jsonl", "crawl.sqlite-wal"])
async def test_a_full_disk_refuses_the_batch_whole(tmp_path: Path, what: str) -> None:
    async with store(tmp_path / "h", [tmp_path / "o.jsonl"]) as one:
        tasks = await one.admit(*range(1, 9))
        await one.finish(*tasks[:2], title="x" * (100_000 if what == "records.jsonl" else 10))
        before = one.writer.counters.copy()
        with no_file_above((tmp_path / "h" / what).stat().st_size + 50):
            with pytest.raises(StoreError, match=str(tmp_path)):
                await unpacked(one.finish(*tasks[2:5], title="y" * (1000 if what == "records.jsonl" else 1)))
            with pytest.raises(StoreError):
                await unpacked(one.finish(tasks[5]))  # whatever comes after it is refused, too
        with pytest.raises(StoreError):
            await unpacked(one.finish(tasks[6]))
        assert one.writer.counters == before
        assert one.writer.backlog == 0
    reader = HomeReader(tmp_path / "h")
    assert [found.url for found in reader.records()] == [task.url for task in tasks[:2]]
    assert reader.status().queued == 6
    reader.close()
    async with store(tmp_path / "h", [tmp_path / "o.jsonl"]) as again:
        rows, _ = await again.writer.submit(Refill("a", START, 99))
        assert [task for task, _ in rows] == tasks[2:]
        await again.finish(*tasks[2:])
    expected = [task.url for task in tasks]
    assert lines(tmp_path / "h" / "records.jsonl") == lines(tmp_path / "o.jsonl") == expected


async def test_a_fault_of_ours_is_told_and_stops_nothing_else(tmp_path: Path) -> None:
    class Faulty(JsonLines):
        def encode(self, records: Any) -> bytes:
            raise ValueError("a bug")

    async with store(tmp_path / "h", [tmp_path / "o.jsonl"]) as one:
        (task,) = await one.admit(1)
        one.home.outputs[0].encoder = Faulty()
        with pytest.raises(CrawlError, match="internal error while storing: ValueError"):
            await unpacked(one.finish(task))
        one.writer.submit(StateChange("stopped")).addErrback(lambda failure: failure.trap(CrawlError) and None)
    async with store(tmp_path / "h", [tmp_path / "o.jsonl"]) as again:
        assert [task for task, _ in (await again.writer.submit(Refill("a", START, 9)))[0]] == [task]
    assert (tmp_path / "o.jsonl").read_bytes() == b""


# -- repair ----------------------------------------------------------------------------------------------------------


async def crawled(folder: Path, count: int, outputs: list[Path] | None = None) -> None:
    async with store(folder, outputs) as one:
        tasks = await one.admit(*range(1, count + 1))
        await one.finish(*tasks, title="é\u2028,\"'")


async def reopen(folder: Path, outputs: list[Path] | None = None, **options: Any) -> None:
    async with store(folder, outputs, **options):
        pass


async def test_torn_tails_are_cut_off(tmp_path: Path) -> None:
    outputs = [tmp_path / "o.jsonl", tmp_path / "o.csv"]
    await crawled(tmp_path / "h", 3, outputs)
    whole = {path: path.read_bytes() for path in (*outputs, tmp_path / "h" / "records.jsonl")}
    for path in whole:
        with path.open("ab") as file:
            file.write(b'{"url": "http://a/to')
    await reopen(tmp_path / "h", outputs)
    assert {path: path.read_bytes() for path in whole} == whole


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv"])
@pytest.mark.parametrize("harm", ["deleted", "shorter", "emptied"])
async def test_an_output_that_lacks_records_is_written_again(tmp_path: Path, name: str, harm: str) -> None:
    output = tmp_path / name
    await crawled(tmp_path / "h", 5, [output])
    whole = output.read_bytes()
    assert whole.count(b"http://a/") >= 5
    if harm == "deleted":
        output.unlink()
    else:
        output.write_bytes(whole[: len(whole) // 2 if harm == "shorter" else 0])
    await reopen(tmp_path / "h", [output])
    assert output.read_bytes() == whole


async def test_an_output_that_is_new_on_resume_gets_the_earlier_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.store.home._REBUILD_BATCH", 2)
    await crawled(tmp_path / "h", 5, [tmp_path / "first.csv"])
    await reopen(tmp_path / "h", [tmp_path / "first.csv", tmp_path / "second.csv", tmp_path / "third.jsonl"])
    assert (tmp_path / "second.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()
    assert (tmp_path / "third.jsonl").read_bytes() == (tmp_path / "h" / "records.jsonl").read_bytes()


async def test_a_record_log_that_lacks_records_is_told(tmp_path: Path) -> None:
    await crawled(tmp_path / "h", 3)
    log = tmp_path / "h" / "records.jsonl"
    log.write_bytes(log.read_bytes()[:-10])
    with pytest.raises(HomeError, match="10 committed bytes are missing; the home is damaged, start over"):
        await reopen(tmp_path / "h")
    assert is_locked(tmp_path / "h") is None


async def test_outputs_that_are_somebody_elses_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("precious")
    for output, message in {
        tmp_path / "mine.csv": "exists already",
        tmp_path / "h" / "records.jsonl": "home's own",
        tmp_path / "nowhere" / "o.csv": "does not exist",
        tmp_path: "is a folder|extension",
    }.items():
        with pytest.raises(UsageError, match=message):
            await reopen(tmp_path / "h", [output])
    assert (tmp_path / "mine.csv").read_text() == "precious"
    await reopen(tmp_path / "h", [tmp_path / "mine.csv"], overwrite=True)
    assert (tmp_path / "mine.csv").read_bytes() == Csv().header


@pytest.mark.parametrize(
    ("path", "name"), [("-", "jsonl"), ("a.jsonl", "jsonl"), ("a.JL", "jsonl"), ("x/a.ndjson", "jsonl"), ("a.b.csv", "csv")]
)
def test_the_extension_names_the_format(path: str, name: str) -> None:
    assert format_of(path) == name


@pytest.mark.parametrize("path", ["a", "a.txt", "a.parquet", "a.warc.gz", "a.jsonl.gz", "csv"])
def test_other_extensions_are_refused(path: str) -> None:
    with pytest.raises(UsageError, match=r"\.jsonl"):
        format_of(path)


# -- CSV -------------------------------------------------------------------------------------------------------------

CELLS = ["plain", "a,b", 'say "hi"', "two\nlines", "cr\r\nlf", "", "ünï", "\u2028", " =1"]
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1", "\uff20SUM(A1)"]


def test_csv_keeps_every_text() -> None:
    out = Csv()
    data = out.header + out.encode([record("http://a/", title=cell) for cell in CELLS])
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert [row["title"] for row in rows] == CELLS
    assert {row["outcome"] for row in rows} == {"fetched"}
    assert data.count(b"\r\n") >= len(CELLS) + 1
    assert "headers" not in rows[0]


@pytest.mark.parametrize("text", FORMULAS)
def test_csv_never_begins_a_cell_as_a_formula(text: str) -> None:
    data = Csv().encode([record("http://a/", title=text, robots=["-x", "b"], description=text)])
    (row,) = csv.reader(io.StringIO(data.decode(), newline=""))
    assert f"'{text}" in row
    assert "'-x b" in row
    assert all(not cell.startswith(tuple("=+-@\t\r")) for cell in row)


def test_json_lines_are_one_line_each_and_come_back() -> None:
    records = [record("http://a/", title=text) for text in (*CELLS, *FORMULAS, "\x00\x1f")]
    data = JsonLines().encode(records)
    assert data.count(b"\n") == len(records)
    assert [msgspec.json.decode(line, type=Record) for line in data.split(b"\n")[:-1]] == records


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
