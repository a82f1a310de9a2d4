"""Secrets by name: read, and never told."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.errors import UsageError
from crawler.secret import MAX_SECRET_BYTES, read_secret


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAWL_TEST_SECRET", "from the process")
    assert read_secret("env:CRAWL_TEST_SECRET") == "from the process"
    assert read_secret("env:WORD", {"WORD": "pa:ss wörd"}) == "pa:ss wörd"


@pytest.mark.parametrize(
    ("content", "secret"), [(b"word", "word"), (b"word\n", "word"), (b"word\r\n", "word"), (b" w\xc3\xb6rd ", " wörd "), (b"a:b\n", "a:b")]
)
def test_from_a_file_without_its_last_newline(tmp_path: Path, content: bytes, secret: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert read_secret(f"file:{tmp_path / 'secret'}") == secret


def test_a_file_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "word").write_text("at home\n", encoding="utf-8")
    assert read_secret("file:~/word") == "at home"


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"hunter\nsecond\n", b"hunter\x00", b"hunter\xff", b"hunter" * (MAX_SECRET_BYTES // 6 + 1)],
    ids=["empty", "only a newline", "two lines", "null", "not UTF-8", "long"],
)
def test_a_file_that_holds_no_secret_is_named_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="secret") as error:
        read_secret(f"file:{path}")
    assert str(path) in str(error.value)
    assert "hunter" not in str(error.value)


@pytest.mark.parametrize("path", ["{}/nowhere", "{}", "~nobody-of-that-name/x", "{}/a\0b"])
def test_a_file_that_cannot_be_read(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_secret("file:" + path.format(tmp_path))


@pytest.mark.parametrize("value", [None, "", "hunter\n", "hunter\r\nX-Evil: 1"])
def test_a_variable_that_holds_no_secret_is_named_and_not_quoted(value: str | None) -> None:
    with pytest.raises(UsageError, match="variable WORD") as error:
        read_secret("env:WORD", {} if value is None else {"WORD": value})
    assert "hunter" not in str(error.value)


@pytest.mark.parametrize("reference", ["hunter2", "env:", "file:", "", "ENV:WORD", "pass:hunter2"])
def test_a_secret_in_the_references_place_is_not_quoted(reference: str) -> None:
    with pytest.raises(UsageError, match="env:NAME") as error:
        read_secret(reference)
    assert "hunter" not in str(error.value)
