"""A folder of Parquet files partitioned by one column, as Hive names them: ``host=example.com/part-0.parquet``.

pyarrow's own writer of datasets reads its rows in another thread, which a crawl's database does not allow; so rows are spread here.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    import pyarrow as pa

_NOTHING: Final = "__HIVE_DEFAULT_PARTITION__"
_OPEN_FILES: Final = 200  # far below what a process may usually open
_WAITING_BYTES: Final = 64 * 1024 * 1024
_WAITING_PIECES: Final = 5_000  # each takes some kilobytes, however few rows it has


class Partitions:
    """Open files of a folder; the one that was not written to for longest is closed when there are too many, and followed by another."""

    def __init__(self, folder: Path, column: str, schema: pa.Schema) -> None:
        """`schema` is that of the files, without `column`."""
        self._folder = folder
        self._column = column
        self._schema = schema
        self._writers: OrderedDict[str, Any] = OrderedDict()
        self._parts: dict[str, int] = {}
        self._waiting: dict[str, list[pa.RecordBatch]] = {}
        self._pieces = 0
        self._bytes = 0

    def add(self, batch: pa.RecordBatch, values: list[str | None]) -> None:
        """Add rows, each with its value of the column."""
        import pyarrow as pa

        rows: dict[str, list[int]] = {}
        for index, value in enumerate(values):
            rows.setdefault(_NOTHING if value is None else quote(value, safe=""), []).append(index)
        for name, indices in rows.items():
            self._waiting.setdefault(name, []).append(batch.take(pa.array(indices)))
        self._pieces += len(rows)
        self._bytes += batch.nbytes
        if self._pieces >= _WAITING_PIECES or self._bytes >= _WAITING_BYTES:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa

        for name, batches in self._waiting.items():
            self._writer(name).write_table(pa.Table.from_batches(batches))
        self._waiting, self._pieces, self._bytes = {}, 0, 0

    def _writer(self, name: str) -> Any:
        import pyarrow.parquet as pq

        if name in self._writers:
            self._writers.move_to_end(name)
            return self._writers[name]
        if len(self._writers) >= _OPEN_FILES:
            self._writers.popitem(last=False)[1].close()
        part = self._parts.get(name, 0)
        self._parts[name] = part + 1
        folder = self._folder / f"{self._column}={name}"
        folder.mkdir(exist_ok=True)
        self._writers[name] = pq.ParquetWriter(folder / f"part-{part}.parquet", self._schema, compression="zstd")
        return self._writers[name]

    def close(self) -> None:
        """Write what waits and close all files."""
        self._write()
        for writer in self._writers.values():
            writer.close()
