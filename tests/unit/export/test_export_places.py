"""A target is whole or not there, and nothing is replaced that no export made."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from crawler.errors import StoreError, UsageError
from crawler.export.places import MARK, new_file, new_folder


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    with new_file(target) as path:
        path.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(tmp_path) == ["out.csv"]


def fail_in(target: Path, *, folder: bool) -> None:
    with new_folder(target) if folder else new_file(target) as path:
        (path / "part" if folder else path).write_text("half")
        raise KeyError


@pytest.mark.parametrize("folder", [False, True])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, folder: bool) -> None:
    with pytest.raises(KeyError):
        fail_in(tmp_path / "out", folder=folder)
    assert names(tmp_path) == []


def test_what_the_disk_refuses_is_told_with_the_target(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"out\.csv: cannot be written: No such file"), new_file(tmp_path / "gone" / "out.csv") as path:
        path.write_text("new")


def test_a_folder_replaces_one_that_an_export_made(tmp_path: Path) -> None:
    target = tmp_path / "pages"
    for name in ("first", "second"):
        with new_folder(target) as folder:
            (folder / name).touch()
    assert names(target) == [MARK, "second"]
    assert names(tmp_path) == ["pages"]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "pages"
    target.mkdir()
    (target / "letter").write_text("precious")
    with pytest.raises(UsageError, match="no export of a crawl wrote"), new_folder(target):
        pass
    assert names(target) == ["letter"]
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(UsageError, match="is not a folder"), new_folder(tmp_path / "link"):
        pass


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f".out[1].{ended.pid}.new").mkdir()
    alive = tmp_path / f".out[1].{os.getppid()}.new"
    alive.touch()
    with new_file(tmp_path / "out[1]") as path:
        path.touch()
    assert names(tmp_path) == [alive.name, "out[1]"]
