"""Files that somebody changed, deleted or replaced, while a crawl ran or between its runs: told, repaired or refused, never believed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler.config import Settings
from crawler.errors import HomeError, StoreError, UsageError
from crawler.job import make_job
from crawler.model import Outcome, Record, Via
from crawler.store.counters import Counters
from crawler.store.home import DATABASE, RECORDS, Home, open_home
from crawler.store.reader import HomeReader
from crawler.store.schema import write_meta

JOB = make_job(["http://a/"], Settings())


def record(number: int) -> Record:
    empty: dict[str, Any] = dict.fromkeys(Record.__struct_fields__)
    known = {"url": f"http://a/{number}", "outcome": Outcome.FETCHED, "depth": 1, "via": Via.LINK, "robots": [], "attempts": 1}
    return Record(**(empty | known | {"title": "t" * number}))


def run(folder: Path, numbers: list[int], outputs: list[Path], *, overwrite: bool = False) -> None:
    """Add records to a crawl as one run of it does."""
    home = open_home(folder)
    try:
        home.adopt(JOB)
        home.open_files([str(path) for path in outputs], overwrite=overwrite)
        add(home, numbers)
    finally:
        home.close()


def add(home: Home, numbers: list[int]) -> None:
    records = [record(number) for number in numbers]
    for output in (home.records, *home.outputs):
        output.append(output.encoder.encode(records))
        output.sync()
        name = RECORDS if output is home.records else str(output.path)
        home.connection.execute("INSERT OR REPLACE INTO files (path, length) VALUES (?, ?)", (name, output.length))
    write_meta(home.connection, "counters", Counters(admitted=100))


def numbers_in(path: Path) -> list[int]:
    return [int(msgspec.json.decode(line)["url"].rpartition("/")[2]) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("victim", ["records.jsonl", "out.csv"])
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_is_deleted_while_the_crawl_runs_stops_it(tmp_path: Path, victim: str, how: str) -> None:
    home = open_home(tmp_path / "h")
    output = tmp_path / "h" / "out.csv"
    home.adopt(JOB)
    home.open_files([str(output)], overwrite=False)
    add(home, [1, 2])
    if how == "deleted":
        (tmp_path / "h" / victim).unlink()
    else:
        (tmp_path / "copy").write_bytes((tmp_path / "h" / victim).read_bytes())
        os.replace(tmp_path / "copy", tmp_path / "h" / victim)  # noqa: PTH105
    with pytest.raises(StoreError, match=f"{victim}: was deleted or replaced while the crawl ran"):
        add(home, [3])
    home.close()


def test_an_output_left_out_of_one_run_lacks_nothing_when_it_is_named_again(tmp_path: Path) -> None:
    output = tmp_path / "o.jsonl"
    run(tmp_path / "h", [1, 2], [output])
    run(tmp_path / "h", [3, 4], [])
    run(tmp_path / "h", [5], [output])
    assert numbers_in(output) == [1, 2, 3, 4, 5]


def replaced_by_another(path: Path) -> None:
    path.write_bytes(b'{"mine": 1}\n' * 1000)


def line_made_longer(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"fetched", b"FETCHED AND MORE", 1))


def shorter_and_anothers(path: Path) -> None:
    path.write_bytes(b"dear diary\n")


@pytest.mark.parametrize("change", [replaced_by_another, line_made_longer, shorter_and_anothers])
@pytest.mark.parametrize("name", ["o.jsonl", "o.csv"])
def test_an_output_that_was_changed_between_runs_is_not_touched_unless_asked(tmp_path: Path, change: Any, name: str) -> None:
    output = tmp_path / name
    run(tmp_path / "h", [1, 2, 3], [output])
    change(output)
    changed = output.read_bytes()
    with pytest.raises(UsageError, match="was changed since this crawl wrote it"):
        run(tmp_path / "h", [4], [output])
    assert output.read_bytes() == changed
    run(tmp_path / "h", [4], [output], overwrite=True)
    run(tmp_path / "i", [1, 2, 3, 4], [tmp_path / f"whole-{name}"])
    assert output.read_bytes() == (tmp_path / f"whole-{name}").read_bytes()


@pytest.mark.parametrize("left", [0, 10, 600])
def test_an_output_that_was_cut_is_written_again(tmp_path: Path, left: int) -> None:
    output = tmp_path / "o.jsonl"
    run(tmp_path / "h", [1, 2, 3], [output])
    os.truncate(output, left)
    run(tmp_path / "h", [4], [output])
    assert numbers_in(output) == [1, 2, 3, 4]


def test_a_last_record_longer_than_what_is_read_at_once_is_recognised(tmp_path: Path) -> None:
    output = tmp_path / "o.csv"
    run(tmp_path / "h", [1, 300_000], [output])
    run(tmp_path / "h", [2], [output])
    assert len(output.read_bytes().splitlines()) == 4


def test_an_output_that_is_no_file_or_another_name_of_one_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "null.csv").symlink_to(os.devnull)
    for name in ("pipe.jsonl", "null.csv"):
        with pytest.raises(UsageError, match="is not a regular file"):
            run(tmp_path / "h", [], [tmp_path / name], overwrite=True)
    run(tmp_path / "h", [1], [tmp_path / "a.jsonl"])
    (tmp_path / "own.jsonl").symlink_to(tmp_path / "h" / RECORDS)
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "a.jsonl")
    for outputs in ([tmp_path / "own.jsonl"], [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]):
        with pytest.raises(UsageError, match="is another name of a file that this crawl writes already"):
            run(tmp_path / "h", [], outputs, overwrite=True)
    assert numbers_in(tmp_path / "h" / RECORDS) == [1]


def test_a_finished_crawl_gets_the_outputs_it_lacks_and_keeps_the_others(tmp_path: Path) -> None:
    whole, cut, new = (tmp_path / name for name in ("whole.jsonl", "cut.jsonl", "new.jsonl"))
    run(tmp_path / "h", [1, 2], [whole, cut])
    whole.write_bytes(whole.read_bytes() + b"a note of mine\n")
    os.truncate(cut, 5)
    home = open_home(tmp_path / "h")
    assert home.write_missing([str(whole), str(cut), str(new)], overwrite=False) == [str(cut), str(new)]
    home.close()
    assert whole.read_bytes().endswith(b"a note of mine\n")
    assert numbers_in(cut) == numbers_in(new) == [1, 2]


def test_a_home_that_has_not_begun_takes_another_job(tmp_path: Path) -> None:
    home = open_home(tmp_path / "h")
    home.adopt(JOB)
    home.adopt(make_job(["http://b/"], Settings()))
    home.open_files([], overwrite=False)
    add(home, [1])
    with pytest.raises(UsageError, match="holds another crawl"):
        home.adopt(JOB)
    home.close()


@pytest.mark.parametrize("damage", ["cut", "garbled", "deleted"])
def test_a_damaged_record_log_is_named_when_it_is_read(tmp_path: Path, damage: str) -> None:
    run(tmp_path / "h", [1, 2], [])
    log = tmp_path / "h" / RECORDS
    content = log.read_bytes()
    if damage == "deleted":
        log.unlink()
    else:
        log.write_bytes(content[: len(content) - 20] if damage == "cut" else content.replace(b"fetched", b"\xff\xfe...??"))
    reader = HomeReader(tmp_path / "h")
    with pytest.raises(HomeError, match=r"records\.jsonl.*the home is damaged"):
        list(reader.records())
    reader.close()


def test_two_crawls_do_not_write_to_one_output(tmp_path: Path) -> None:
    output = tmp_path / "o.jsonl"
    one, other = open_home(tmp_path / "h"), open_home(tmp_path / "i")
    one.adopt(JOB)
    one.open_files([str(output)], overwrite=False)
    with pytest.raises(StoreError, match="another crawl is writing to it"):
        other.open_files([str(output)], overwrite=True)
    add(one, [1])
    one.close()
    other.close()
    assert numbers_in(output) == [1]


def test_records_without_their_database_are_not_begun_afresh(tmp_path: Path) -> None:
    run(tmp_path / "h", [1, 2], [])
    (tmp_path / "h" / DATABASE).unlink()
    with pytest.raises(HomeError, match="holds records, but"):
        run(tmp_path / "h", [3], [])
    assert numbers_in(tmp_path / "h" / RECORDS) == [1, 2]
    open_home(tmp_path / "h", fresh=True).close()
    run(tmp_path / "h", [3], [])
    assert numbers_in(tmp_path / "h" / RECORDS) == [3]


def test_a_record_log_that_may_not_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    run(tmp_path / "h", [1], [])
    (tmp_path / "h" / RECORDS).rename(tmp_path / "aside")
    (tmp_path / "h" / RECORDS).mkdir()  # refuses to be opened, to root as well
    reader = HomeReader(tmp_path / "h")
    with pytest.raises(HomeError, match=r"cannot be read: Is a directory$"):
        list(reader.records())
    reader.close()
    with pytest.raises(HomeError, match=r"cannot be written: Is a directory$"):
        run(tmp_path / "h", [2], [])
