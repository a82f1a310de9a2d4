"""How an output is named, what it needs, and what is said of names that are none."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from crawler.errors import UsageError
from crawler.export.formats import FORMATS, NEEDS, needed_settings, parse_output
from crawler.export.targets import check_target


@pytest.mark.parametrize(
    ("name", "form", "target", "options"),
    [
        ("a.jsonl", "jsonl", "a.jsonl", {}),
        ("x/a.NDJSON.GZ", "jsonl.gz", "x/a.NDJSON.GZ", {}),
        ("a.jl.zst", "jsonl.zst", "a.jl.zst", {}),
        ("a.csv?items=book", "csv", "a.csv", {"items": "book"}),
        ("a.parquet?partition=host&items=b", "parquet", "a.parquet", {"partition": "host", "items": "b"}),
        ("why?=.csv", "csv", "why?=.csv", {}),  # a file's name
        ("crawl.db", "sqlite", "crawl.db", {}),
        ("a.warc.gz", "warc", "a.warc.gz", {}),
        ("pages.md/", "markdown", "pages.md/", {}),
        ("pages.txt/", "text", "pages.txt/", {}),
        ("s.mirror/", "mirror", "s.mirror/", {}),
        ("-", "jsonl", "-", {}),
        ("s3://b/k.parquet?partition=date", "parquet", "s3://b/k.parquet", {"partition": "date"}),
        ("gs://b/d/k.wacz", "wacz", "gs://b/d/k.wacz", {}),
        ("postgresql://u@h/d?sslmode=require&table=t", "postgres", "postgresql://u@h/d?sslmode=require", {"table": "t"}),
        ("postgres://h/d?items=book", "postgres", "postgres://h/d", {"items": "book"}),
    ],
)
def test_a_name_says_what_is_written(name: str, form: str, target: str, options: dict[str, str]) -> None:
    output = parse_output(name)
    assert (output.format.name, output.target, output.options) == (form, target, options)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a", [".jsonl", ".parquet", ".mirror/"]),
        ("a.xlsx", [".csv"]),
        ("a.md", ["folder", "a.md/"]),
        ("ftp://h/a.csv", ["ftp://", "s3"]),
        ("a.parquet?partitoin=host", ["partitoin", "did you mean partition?"]),
        ("a.parquet?colour=red", ["colour", "items, partition, table"]),
        ("a.parquet?partition=year", ["'year'", "host or date"]),
        ("a.wacz?items=book", ["wacz has no items", "csv"]),
        ("a.csv?items=", ["items is empty", "type of item"]),
        ("postgresql://u:hidden@h/d?partition=host&items=x", ["postgres has no partition", "u:…@h"]),
    ],
)
def test_what_is_no_output_is_told_with_the_remedy(name: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_output(name)
    assert [part for part in parts if part not in str(caught.value)] == []
    assert "hidden" not in str(caught.value)


def test_a_format_that_is_given_needs_no_extension() -> None:
    assert parse_output("pages", form="markdown").is_folder
    assert parse_output("-", form="csv", options={"items": "book"}).options == {"items": "book"}
    with pytest.raises(UsageError, match="postgresql://user@host/database"):
        parse_output("pages.csv", form="postgres")


def test_which_outputs_a_running_crawl_appends_to() -> None:
    streamed = ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.csv", "-"]
    others = ["a.csv?items=b", "s3://b/a.jsonl", "a.parquet", "a.warc.gz", "a.md/", "postgresql://h/d"]
    assert [name for name in streamed + others if parse_output(name).is_streamed] == streamed


def test_what_a_crawl_must_keep_for_its_outputs() -> None:
    assert needed_settings(["a.csv", "a.parquet", "postgresql://h/d"]) == {}
    assert needed_settings(["a.wacz"]) == {"store.archive": True}
    wanted = {"store.archive": True, "store.text": "markdown", "scope.requisites": True}
    assert needed_settings(["a.cdxj", "p.md/", "s3://b/s.mirror/"]) == wanted
    with pytest.raises(UsageError, match=r"b\.txt/.*a\.md/"):
        needed_settings(["a.md/", "b.txt/"])


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_its_writer_and_what_it_needs_is_known(name: str) -> None:
    form = FORMATS[name]
    module, _, function = form.write.partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert set(form.needs) <= NEEDS.keys()
    assert form.extensions or form.schemes


def test_a_library_that_is_not_there_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("crawler.export.formats.find_spec", lambda _: None)
    for name, extra in (("a.parquet", "parquet"), ("postgresql://h/d", "postgres"), ("s3://b/a.csv", "objects")):
        with pytest.raises(UsageError, match=rf"pip install 'crawl\[{extra}\]'"):
            check_target(parse_output(name), overwrite=False)
    check_target(parse_output(str(tmp_path / "a.csv")), overwrite=False)


def test_places_that_cannot_be_written_are_refused_before(tmp_path: Path) -> None:
    (tmp_path / "full.csv").write_text("precious")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "mine.md").mkdir()
    (tmp_path / "mine.md" / "letter").touch()
    (tmp_path / "foreign.cdxj").write_text("somebody else's")
    (tmp_path / "folder.cdxj").mkdir()
    check_target(parse_output(f"{tmp_path}/empty.csv"), overwrite=False)
    for name, overwrite, message in (
        ("full.csv", False, "exists already"),
        ("mine.md/", True, "no export of a crawl wrote"),
        ("nowhere/a.csv", True, "does not exist"),
        ("full.csv/a.csv", True, "does not exist"),
        ("foreign.warc.gz", False, r"its index goes to .*foreign\.cdxj, which exists already"),
        ("folder.warc.gz", True, "not a regular file"),
    ):
        with pytest.raises(UsageError, match=message):
            check_target(parse_output(f"{tmp_path}/{name}"), overwrite=overwrite)
    for name in ("full.csv", "foreign.warc.gz"):
        check_target(parse_output(f"{tmp_path}/{name}"), overwrite=True)
