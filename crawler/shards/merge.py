"""The outputs of a crawl in several processes: written from all record logs when the crawl has come to its end.

Until then there is no such file, or the one of an earlier end: an interrupted crawl leaves none that looks finished. A new one takes its
name when all of it is on the disk, and what the layout says of it is written before: a file of another size is not ours.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from crawler.errors import StoreError, UsageError
from crawler.model import Record
from crawler.shards.layout import ShardsHome
from crawler.shards.reader import open_reader
from crawler.store.outputs import encoder, format_of

_BATCH: Final = 1_000  # records encoded at once


def check_output(home: ShardsHome, name: str, *, overwrite: bool) -> None:
    """Raise UsageError for an output that could not be written at the end, or is not this crawl's to replace."""
    path = Path(os.path.abspath(name))  # noqa: PTH100 - resolve() would follow a symlink
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise UsageError(f"--output {path}: is a folder; name a file")
    if path.exists() and not path.is_file():
        raise UsageError(f"--output {path}: is not a regular file; name another")
    if home.folder in path.parents:
        raise UsageError(f"--output {path}: lies in the crawl's home; choose another folder")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"--output {path}: the folder {path.parent} cannot be written")
    if path.exists() and not overwrite and path.stat().st_size not in (0, *home.layout.outputs.get(str(path), [])):
        raise UsageError(f"--output {path}: exists already, and is not this crawl's; choose another name, or --overwrite replaces it")


def missing(home: ShardsHome, names: list[str]) -> list[str]:
    """Return those outputs of a crawl that has ended which do not exist, or are of an earlier end."""
    return [name for name in names if _size(Path(name)) != home.layout.outputs.get(os.path.abspath(name), [-1])[-1]]  # noqa: PTH100


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def write_output(home: ShardsHome, name: str) -> int:
    """Write all records to a file, and return how many there are. Raises StoreError when the disk does not take them."""
    path = Path(os.path.abspath(name))  # noqa: PTH100
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    reader = open_reader(home.folder)
    try:
        count = _write(temporary, format_of(name), reader.records())
        home.remember_output(str(path), temporary.stat().st_size)
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        reader.close()
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return count


def _write(path: Path, form: str, records: Iterator[Record]) -> int:
    encoding, count = encoder(form), 0
    with path.open("wb") as file:
        file.write(encoding.header)
        while batch := list(islice(records, _BATCH)):
            file.write(encoding.encode(batch))
            count += len(batch)
        file.flush()
        os.fsync(file.fileno())
    return count
