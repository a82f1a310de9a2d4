"""The archive of a home, in step with its transactions: what is committed is there, and nothing else."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sites.exchanges import made_entry, read_warc, warcio_check

from crawler.archive.segments import INDEX, open_file, read_index, segments_of
from crawler.errors import HomeError, StoreError
from crawler.model import Exchanged, Fetched, FetchFailed, Reason
from crawler.store import schema
from crawler.store.archive import FOLDER, Archive, ArchiveEntry, archive_entry, committed_files, delete_archive, is_archived


class Store:
    """A home's database and archive, used as the writer uses them."""

    def __init__(self, home: Path, size: int = 1_000_000) -> None:
        self.home = home
        self.db = schema.connect(home / "crawl.sqlite", create=True)
        self.archive = Archive(home, self.db, size=size, about=[("robots", "obey")], clock=lambda: 1_700_000_000.0)

    def commit(self, *entries: ArchiveEntry) -> None:
        self.archive.append(list(entries))
        self.archive.sync()
        self.db.execute("BEGIN IMMEDIATE")
        self.archive.record(self.db)
        self.db.execute("COMMIT")

    def die(self) -> None:
        """Let go of everything as a kill does: nothing is flushed, renamed or told."""
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
        self.archive._index.close()
        if self.archive._segment is not None:
            self.archive._segment.close()
        self.db.close()

    def close(self, *, finished: bool = True) -> None:
        self.archive.close(finished=finished)
        self.db.close()


def names(home: Path) -> list[str]:
    return sorted(path.name for path in (home / FOLDER).iterdir())


def page(number: int, text: str = "") -> ArchiveEntry:
    return made_entry(f"http://a.test/{number}", (text or f"page {number} ").encode() * 40, at=1_700_000_000.5 + number)


def lines_of(home: Path) -> list[dict[str, str]]:
    return [json.loads(line.split(b" ", 2)[2]) for line in (home / FOLDER / INDEX).read_bytes().splitlines()]


def record_at(home: Path, line: dict[str, str]) -> object:
    with open_file(home / FOLDER, line["filename"]) as file:
        file.seek(int(line["offset"]))
        member = file.read(int(line["length"]))
    return read_warc(member)[0]


def test_every_line_of_the_index_leads_to_its_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit(*map(page, range(20)))
    store.commit(*map(page, range(20, 30)))
    assert names(tmp_path) == ["crawl-00000.warc.gz.open", INDEX]
    assert committed_files(store.db) == {name.removesuffix(".open"): (tmp_path / FOLDER / name).stat().st_size for name in names(tmp_path)}
    store.close()
    assert names(tmp_path) == ["crawl-00000.warc.gz", INDEX]
    lines = lines_of(tmp_path)
    assert [line["url"] for line in lines] == [f"http://a.test/{number}" for number in range(30)]
    for number, line in enumerate(lines):
        record = record_at(tmp_path, line)
        assert (record.type, record.fields["WARC-Target-URI"]) == ("response", line["url"])
        assert record.fields["WARC-Payload-Digest"] == line["digest"]
        assert record.payload == f"page {number} ".encode() * 40
    types = [record.type for record in read_warc((tmp_path / FOLDER / "crawl-00000.warc.gz").read_bytes())]
    assert types == ["warcinfo", *["response", "request"] * 30]
    warcio_check(tmp_path / FOLDER / "crawl-00000.warc.gz")


def test_a_full_segment_is_closed_and_the_next_begins_with_its_own_warcinfo(tmp_path: Path) -> None:
    store = Store(tmp_path, size=3000)
    for number in range(0, 12, 4):
        store.commit(*map(page, range(number, number + 4)))
    opened = [name for name in names(tmp_path) if name.endswith(".open")]
    segments = segments_of(committed_files(store.db))
    assert len(segments) >= 3
    assert opened == [f"{segments[-1]}.open"]
    store.close()
    paths = [tmp_path / FOLDER / name for name in segments]
    for path in paths:
        first = read_warc(path.read_bytes())[0]
        assert (first.type, first.fields["WARC-Filename"]) == ("warcinfo", path.name)
        assert b"robots: obey" in first.payload
    assert all(path.stat().st_size >= 3000 for path in paths[:-1])
    warcio_check(*paths)
    assert [record_at(tmp_path, line).payload for line in lines_of(tmp_path)] == [f"page {n} ".encode() * 40 for n in range(12)]


def test_a_payload_seen_before_is_a_revisit_also_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit(page(1, "same"), page(2, "same"), page(3, "other"))
    store.commit(page(4, "same"))
    store.close(finished=False)
    store = Store(tmp_path)
    store.commit(page(5, "same"), page(6, "other"))
    store.close()
    lines = lines_of(tmp_path)
    revisit, html = "warc/revisit", "text/html"
    assert [line["mime"] for line in lines] == [html, revisit, html, revisit, revisit, revisit]
    assert len({line["digest"] for line in lines}) == 2
    for line, first in [(lines[1], 1), (lines[3], 1), (lines[4], 1), (lines[5], 3)]:
        record = record_at(tmp_path, line)
        assert record.fields["WARC-Refers-To-Target-URI"] == f"http://a.test/{first}"
        assert record.fields["WARC-Refers-To-Date"] == page(first).archived.date
    warcio_check(tmp_path / FOLDER / "crawl-00000.warc.gz")


def test_only_whole_payloads_of_200_are_revisited(tmp_path: Path) -> None:
    store = Store(tmp_path)
    empty = [made_entry(f"http://a.test/empty{n}", b"") for n in range(2)]
    missing = [made_entry(f"http://a.test/missing{n}", b"no" * 99, status=404) for n in range(2)]
    cut = [made_entry(f"http://a.test/cut{n}", b"beg" * 99, truncated="time") for n in range(2)]
    store.commit(*empty, *missing, *cut)
    store.close()
    assert {line["mime"] for line in lines_of(tmp_path)} == {"text/html"}
    assert [line["status"] for line in lines_of(tmp_path)] == ["200"] * 2 + ["404"] * 2 + ["200"] * 2


@pytest.mark.parametrize("died", ["appended", "synced", "recorded, not committed", "committed"])
def test_what_no_transaction_holds_is_cut_off(tmp_path: Path, died: str) -> None:
    store = Store(tmp_path, size=3000)
    store.commit(*map(page, range(4)))
    before = committed_files(store.db)
    store.archive.append([*map(page, range(4, 12))])  # more than one segment
    if died != "appended":
        store.archive.sync()
    if died.startswith("recorded"):
        store.db.execute("BEGIN")
        store.archive.record(store.db)
    if died == "committed":
        store.archive.record(store.db)
        before = committed_files(store.db)
    store.die()
    store = Store(tmp_path, size=3000)
    assert committed_files(store.db) == before
    there = {name.removesuffix(".open"): (tmp_path / FOLDER / name).stat().st_size for name in names(tmp_path)}
    assert there == before
    done = 12 if died == "committed" else 4
    store.commit(*map(page, range(done, 15)))
    store.close()
    lines = lines_of(tmp_path)
    assert [line["url"] for line in lines] == [f"http://a.test/{n}" for n in range(15)]
    assert [record_at(tmp_path, line).type for line in lines] == ["response"] * 15  # what was rolled back is no payload seen before
    warcio_check(*[tmp_path / FOLDER / name for name in names(tmp_path) if name != INDEX])


PROGRAM = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from test_archive import Store, page
from crawler.archive.segments import read_index
from crawler.store.archive import FOLDER, committed_files
home = Path(sys.argv[1])
store = Store(home, size=20_000)
done = sum(1 for _ in read_index(home / FOLDER, committed_files(store.db)))
while done < 400:
    store.commit(*map(page, range(done, done + 5)))
    done += 5
    print(done, flush=True)
store.close()
"""


def test_killed_again_and_again_it_holds_every_page_once(tmp_path: Path) -> None:
    path = [str(Path(__file__).parent), str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path), *path]
    dice = random.Random(5)
    for _ in range(6):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(dice.randrange(1, 8)):
                assert process.stdout.readline()
            time.sleep(dice.uniform(0, 0.005))  # somewhere in the next batches
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    lines = lines_of(tmp_path)
    assert [line["url"] for line in lines] == [f"http://a.test/{n}" for n in range(400)]
    for line in lines:
        assert record_at(tmp_path, line).fields["WARC-Target-URI"] == line["url"]
    segments = [tmp_path / FOLDER / name for name in names(tmp_path) if name != INDEX]
    assert not [path for path in segments if path.suffix == ".open"]
    found = [record for path in segments for record in read_warc(path.read_bytes())]
    assert [record.type for record in found].count("response") == 400
    assert len(found) == 800 + len(segments)


def test_a_batch_without_exchanges_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit()
    assert committed_files(store.db) == {}
    store.close()
    assert names(tmp_path) == [INDEX]


@pytest.mark.parametrize("name", ["crawl-00000.warc.gz", "crawl-00001.warc.gz", INDEX])
def test_committed_bytes_that_are_missing_are_told(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path, size=1000)
    store.commit(page(1), page(2), page(3))
    store.close(finished=True)
    os.truncate(tmp_path / FOLDER / name, 100)
    with pytest.raises(StoreError, match=r"\d+ committed bytes are missing"):
        Store(tmp_path)
    (tmp_path / FOLDER / name).unlink()
    with pytest.raises(StoreError, match=r"\d+ committed bytes are missing"):
        Store(tmp_path)


def test_the_index_is_read_as_far_as_it_is_committed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit(page(1), page(2))
    store.archive.append([page(3)])
    files = committed_files(store.db)
    assert [json.loads(line.split(b" ", 2)[2])["url"] for line in read_index(tmp_path / FOLDER, files)] == [
        "http://a.test/1",
        "http://a.test/2",
    ]
    assert list(read_index(tmp_path / FOLDER, {})) == []
    store.die()
    with pytest.raises(HomeError, match="cannot be read: No such file"):
        open_file(tmp_path / FOLDER, "crawl-00007.warc.gz")


def test_the_archive_is_deleted_with_the_crawl_and_other_files_are_not(tmp_path: Path) -> None:
    delete_archive(tmp_path)  # there is none
    store = Store(tmp_path, size=1000)
    store.commit(page(1), page(2), page(3))
    store.close(finished=False)
    (tmp_path / FOLDER / "mine.txt").touch()
    delete_archive(tmp_path)
    assert names(tmp_path) == ["mine.txt"]
    (tmp_path / FOLDER / "mine.txt").unlink()
    delete_archive(tmp_path)
    assert not (tmp_path / FOLDER).exists()


def test_paths_of_the_archive_are_told_from_outputs() -> None:
    assert is_archived("archive/crawl-00000.warc.gz")
    assert not is_archived("/home/me/archive/records.jsonl")
    assert not is_archived("records.jsonl")


def test_an_answer_is_whole_or_was_cut_short() -> None:
    archived = page(1).archived
    heads = Exchanged(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")
    headers = [("content-type", "Text/HTML; charset=utf-8")]
    fetched = Fetched("http://a.test/", 200, headers, b"", "127.0.0.1", 0.0, 0.0, heads)
    failed = FetchFailed("http://a.test/", Reason.TIMEOUT, "", None, 0.0, 0.0, 200, [], heads)
    assert archive_entry(fetched, archived) == ArchiveEntry("http://a.test/", "127.0.0.1", 200, "text/html", heads.response, archived)
    assert archive_entry(failed, archived) == ArchiveEntry("http://a.test/", None, 200, None, heads.response, archived, whole=False)
    with pytest.raises(ValueError, match="no head"):
        archive_entry(FetchFailed("http://a.test/", Reason.DNS, "", None, 0.0, 0.0), archived)
