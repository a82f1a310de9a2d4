"""Compressed JSON lines: what independent programs read of them, cut back, written again and refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from open_store import crawled, record, reopen

from crawler.errors import UsageError
from crawler.store.outputs import Compressed, encoder

PROGRAMS = {"o.jsonl.gz": "gzip", "o.jsonl.zst": "zstd"}


def unpacked(path: Path) -> bytes:
    """The text as the format's own program gives it; it exits with an error for a file that is not whole."""
    return subprocess.run([PROGRAMS[path.name], "-dc", path], capture_output=True, check=True).stdout


def content(output: Path) -> bytes:
    return output.read_bytes()


def change_to(output: Path, data: bytes | None) -> None:
    """Replace what a file holds; None deletes it."""
    output.unlink()
    if data is not None:
        output.write_bytes(data)


@pytest.fixture(params=PROGRAMS)
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path: Path = tmp_path / request.param
    return path


def log_of(output: Path) -> bytes:
    return (output.parent / "h" / "records.jsonl").read_bytes()


async def test_it_holds_the_record_log(output: Path) -> None:
    await crawled(output.parent / "h", 7, [output])
    assert log_of(output).count(b"\n") == 7
    assert unpacked(output) == log_of(output)


async def test_without_records_it_is_a_whole_file(output: Path) -> None:
    await reopen(output.parent / "h", [output])
    assert content(output)
    assert unpacked(output) == b""


async def test_a_torn_tail_is_cut_off(output: Path) -> None:
    await crawled(output.parent / "h", 3, [output])
    whole = content(output)
    change_to(output, whole + whole[-20:-5])
    await reopen(output.parent / "h", [output])
    assert content(output) == whole


@pytest.mark.parametrize("harm", ["deleted", "shorter", "within the header", "emptied"])
async def test_what_lacks_records_is_written_again(output: Path, harm: str) -> None:
    await crawled(output.parent / "h", 5, [output])
    whole = content(output)
    keep = {"deleted": 0, "shorter": len(whole) * 2 // 3, "within the header": 5, "emptied": 0}[harm]
    change_to(output, None if harm == "deleted" else whole[:keep])
    await reopen(output.parent / "h", [output])
    assert unpacked(output) == log_of(output)


async def test_an_output_that_is_new_on_resume_gets_the_earlier_records(output: Path) -> None:
    await crawled(output.parent / "h", 5)
    await reopen(output.parent / "h", [output])
    assert unpacked(output) == log_of(output)


@pytest.mark.parametrize("change", ["begin", "end"])
async def test_a_file_of_the_same_name_with_other_records_is_left_alone(output: Path, change: str) -> None:
    await crawled(output.parent / "h", 5, [output])
    whole, other = content(output), encoder(output.name.removeprefix("o."))
    member = other.encode([record("http://other/")])
    precious = other.header + member + whole[len(other.header) :] if change == "begin" else whole[:-1] + member[-60:] + whole[-1:]
    change_to(output, precious)
    with pytest.raises(UsageError, match="was changed since"):
        await reopen(output.parent / "h", [output])
    assert content(output) == precious
    await reopen(output.parent / "h", [output], overwrite=True)
    assert unpacked(output) == log_of(output)


def test_a_long_last_member_is_found(output: Path) -> None:
    """Text that hardly compresses makes members longer than what is read first in search of one."""
    form = encoder(output.name.removeprefix("o."))
    assert isinstance(form, Compressed)
    seed = bytes(range(256))
    texts = ["".join(f"{(byte * 7919 + number * 104_729) % 2_147_483_647:x}" for byte in seed) for number in range(200)]
    records = [record(f"http://a/{number}", title=text) for number, text in enumerate(texts)]
    data = form.header + form.encode(records[:1]) + form.encode(records[1:])
    output.write_bytes(data)
    assert len(form.encode(records[1:])) > 100_000
    with output.open("rb") as file:
        assert form.ends(file, len(data), records[-1])
        assert not form.ends(file, len(data), records[-2])
