"""Where an export puts what it writes: made beside under another name, and given its own when it is whole.

A kill leaves the old file or the new one, never half of one; what a killed export left beside is removed by the next.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from crawler.errors import StoreError, UsageError

MARK: Final = ".crawl-export"
"""A file in every folder that an export made: no other folder is ever replaced."""


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give the path to write a file at; it becomes `path` when the block ends well. Raises StoreError when the disk does not take it."""
    temporary = _beside(path)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `path`, in place of one that an export made, when the block ends well.

    Raises StoreError when the disk does not take it, UsageError when `path` is not an export's to replace.
    """
    refuse_foreign(path)
    temporary = _beside(path)
    try:
        temporary.mkdir()
        (temporary / MARK).touch()
        yield temporary
        os.sync()  # one call for however many files
        _swap(temporary, path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_foreign(path: Path) -> None:
    """Raise UsageError when `path` is something that no export may replace by a folder."""
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir() or path.is_symlink():
        raise UsageError(f"--output {path}: is not a folder; choose another name")
    if not (path / MARK).exists() and any(path.iterdir()):
        raise UsageError(f"--output {path}: the folder holds files that no export of a crawl wrote; choose another name")


def _swap(temporary: Path, path: Path) -> None:
    old = _beside(path, "old")
    if path.exists():
        path.rename(old)
    temporary.rename(path)
    shutil.rmtree(old, ignore_errors=True)
    _sync(path.parent)


def _beside(path: Path, suffix: str = "new") -> Path:
    """Return a name of this process's own beside `path`; removes what processes that are gone left under such names."""
    for left in path.parent.glob(f".{_escaped(path.name)}.*.{suffix}"):
        pid = left.name.split(".")[-2]
        if pid.isdigit() and (int(pid) == os.getpid() or not _runs(int(pid))):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.{suffix}")


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _refused(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: cannot be written: {error.strerror or error}")
