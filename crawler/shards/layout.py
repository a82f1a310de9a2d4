"""The folder of a crawl in several processes: ``shards.json``, a lock, and a home for each shard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from crawler.errors import HomeError, UsageError
from crawler.job import Job, differences
from crawler.store.home import DATABASE, DERIVED, LOCK, OWN, RECORDS, open_home, open_lock, take_lock

FILE: Final = "shards.json"
_FOLDER: Final = "shard-"
_VERSION: Final = 1


class Layout(Struct, frozen=True):
    """What ``shards.json`` says. The hosts are spread over `processes` homes: another number would look for them in others."""

    processes: int
    job: Job
    outputs: dict[str, list[int]] = {}  # path: sizes in bytes that this crawl gave it, the last one last
    version: int = _VERSION


def shard_folder(folder: Path, number: int) -> Path:
    """Return the home of shard `number`."""
    return folder / f"{_FOLDER}{number}"


def read_layout(folder: Path) -> Layout | None:
    """Return what the folder of a crawl in several processes says of itself, or None when it is none. Raises HomeError."""
    try:
        data = (folder / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HomeError(f"{folder / FILE}: cannot be read: {error.strerror}") from error
    try:
        layout = msgspec.json.decode(data, type=Layout)
    except msgspec.DecodeError as error:
        raise HomeError(f"{folder / FILE}: cannot be read ({error}); choose another --dir") from error
    if layout.version > _VERSION:
        raise HomeError(f"{folder} was made by a newer version of Crawl: upgrade Crawl, or choose another --dir")
    return layout


def records_of(folder: Path) -> Path:
    """Return where the records of a crawl are, by one process or (with a pattern for a name) by several."""
    return folder / RECORDS if read_layout(folder) is None else folder / f"{_FOLDER}*" / RECORDS


def write_layout(folder: Path, layout: Layout) -> None:
    """Write ``shards.json``: the old one or the new one is there whole, whenever the power fails. Raises HomeError."""
    new = folder / f"{FILE}.new"
    try:
        with new.open("wb") as file:
            file.write(msgspec.json.encode(layout))
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / FILE)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise HomeError(f"{folder / FILE}: cannot be written: {error.strerror}; free some space or choose another --dir") from error


class ShardsHome:
    """The open, locked folder of a crawl in several processes."""

    def __init__(self, folder: Path, lock_fd: int, layout: Layout) -> None:
        """Take over an open lock; use `open_shards`."""
        self.folder = folder
        self.layout = layout
        self._lock_fd = lock_fd

    def remember_output(self, path: str, size: int) -> None:
        """Store, before it takes its name, that an output of this size is ours."""
        sizes = [*self.layout.outputs.get(path, [])[-1:], size]
        self.layout = Layout(self.layout.processes, self.layout.job, {**self.layout.outputs, path: sizes})
        write_layout(self.folder, self.layout)

    def close(self) -> None:
        """Let go of the lock."""
        os.close(self._lock_fd)


def open_shards(folder: Path, job: Job, *, fresh: bool) -> ShardsHome:
    """Open or make the folder of a crawl in ``service.processes`` processes, and lock it; `fresh` deletes the crawl that it holds.

    Raises UsageError when it holds another crawl or one of another number of processes, HomeError when it cannot be used.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow a symlink
    if folder.exists() and not folder.is_dir():
        raise HomeError(f"{folder} is a file, not a crawl's home; choose another --dir")
    lock_fd = open_lock(folder)
    try:
        take_lock(folder, lock_fd)
        if fresh:
            delete_shards(folder)
        return ShardsHome(folder, lock_fd, _adopt(folder, job, fresh=fresh))
    except BaseException:
        os.close(lock_fd)
        raise


def _adopt(folder: Path, job: Job, *, fresh: bool) -> Layout:
    """Return the layout of a new crawl, or that of the same crawl with the job as it is now."""
    processes = job.settings.service.processes
    before = read_layout(folder)
    if before is None:
        _check_new(folder, fresh=fresh)
        layout = Layout(processes, job)
    else:
        if before.processes != processes:
            raise UsageError(other_number(folder, before.processes))
        if found := differences(before.job, job):
            raise UsageError(
                f"{folder} holds another crawl ({'; '.join(found)}): choose another --dir, or start over with --fresh, which deletes it"
            )
        layout = Layout(processes, job, before.outputs)
    write_layout(folder, layout)
    return layout


def other_number(folder: Path, processes: int) -> str:
    """Return what to tell somebody who wants to go on with another number of processes."""
    return (
        f"{folder} holds a crawl by {processes} processes: --processes {processes} goes on with it;"
        " choose another --dir, or start over with --fresh, which deletes it"
    )


def _check_new(folder: Path, *, fresh: bool) -> None:
    if (folder / DATABASE).exists():
        if not fresh:
            raise UsageError(
                f"{folder} holds a crawl by one process: leave --processes out to go on with it;"
                " choose another --dir, or start over with --fresh, which deletes it"
            )
        _delete_home(folder, keep=LOCK)
    if other := sorted({entry.name for entry in folder.iterdir()} - {LOCK}):
        raise HomeError(f"{folder} is not a crawl's home: it holds other files ({other[0]}, …); choose another --dir")


def _delete_home(folder: Path, *, keep: str = "") -> None:
    """Delete the home of one process; whoever holds its lock keeps it."""
    if not keep:
        open_home(folder, fresh=True).close()
    for name in OWN - {keep}:
        (folder / name).unlink(missing_ok=True)


def refuse_several(folder: Path, *, fresh: bool) -> None:
    """Refuse a folder of several processes to a crawl by one, or delete it if the user starts over. Raises UsageError."""
    layout = read_layout(folder)
    if layout is not None and not fresh:
        raise UsageError(other_number(folder, layout.processes))
    delete_shards(folder)


def delete_shards(folder: Path) -> None:
    """Delete the crawl by several processes that a folder holds, if it holds one; only what is its own. Raises HomeError."""
    layout = read_layout(folder)
    if layout is None:
        return
    for number in range(layout.processes):
        home = shard_folder(folder, number)
        if home.is_dir():
            _delete_home(home)
            home.rmdir()
    (folder / FILE).unlink(missing_ok=True)
    (folder / f"{FILE}.new").unlink(missing_ok=True)
    (folder / DERIVED).unlink(missing_ok=True)
