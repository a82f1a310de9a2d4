"""What a home repairs when it is opened, and the outputs: their names, CSV, JSON lines."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec
import pytest
from open_store import crawled, record, reopen

from crawler.errors import HomeError, UsageError
from crawler.model import Record
from crawler.store.home import is_locked
from crawler.store.outputs import Csv, JsonLines, format_of


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
    ("path", "name"),
    [
        ("-", "jsonl"),
        ("a.jsonl", "jsonl"),
        ("a.JL", "jsonl"),
        ("x/a.ndjson", "jsonl"),
        ("a.b.csv", "csv"),
        ("a.JSONL.gz", "jsonl.gz"),
        ("a.jl.zst", "jsonl.zst"),
    ],
)
def test_the_extension_names_the_format(path: str, name: str) -> None:
    assert format_of(path) == name


@pytest.mark.parametrize("path", ["a", "a.txt", "a.parquet", "a.warc.gz", ".jsonl.gz", "csv"])
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
