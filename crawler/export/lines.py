"""Records and items as lines: JSON lines, plain and compressed, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from crawler.export.places import new_file
from crawler.export.source import Source
from crawler.export.tables import item_table
from crawler.store.compressed import Compressed
from crawler.store.outputs import csv_cell, encoder

_BATCH: Final = 1_000  # records encoded at once
T = TypeVar("T")


def write_lines(source: Source, target: Path, *, form: str, items: str | None = None) -> int:
    """Write a file of records, or of items of one type, in a format of `crawler.store.outputs`; return how many there are."""
    with new_file(target) as path, path.open("wb") as file:
        return send_lines(source, file.write, form=form, items=items)


def send_lines(source: Source, write: Callable[[bytes], object], *, form: str, items: str | None = None) -> int:
    """Hand the bytes of such a file to `write`, a thousand lines at a time; return how many there are."""
    if items is not None:
        return _send_items(source, write, form, items)
    encoding = encoder(form)
    write(encoding.header)
    return _sent(source.records(), lambda batch: write(encoding.encode(batch)))


def _send_items(source: Source, write: Callable[[bytes], object], form: str, items: str) -> int:
    table = item_table(source, items)
    if form == "csv":
        write(_rows([[column.name for column in table.columns]]))
        return _sent(table.rows(), lambda batch: write(_rows([[_cell(value) for value in row] for row in batch])))
    encoding = encoder(form)
    write(encoding.header)
    if isinstance(encoding, Compressed):
        return _sent(source.items(items), lambda batch: write(encoding.packed(batch)))
    return _sent(source.items(items), lambda batch: write(b"".join(batch)))


def _sent(things: Iterator[T], send: Callable[[list[T]], object]) -> int:
    count = 0
    while batch := list(islice(things, _BATCH)):
        send(batch)
        count += len(batch)
    return count


def _rows(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> object:
    return msgspec.json.encode(value).decode() if isinstance(value, bool) else csv_cell(value)
