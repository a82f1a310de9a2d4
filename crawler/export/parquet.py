"""Parquet files: typed columns, Zstandard, row groups of some 64 MiB; on request a folder partitioned by host or date.

Partitions are folders named as Hive names them (``host=example.com/part-0.parquet``), which DuckDB, Spark, Polars and pyarrow read as a
column. Times are UTC with milliseconds, lists are lists, nested values JSON text. pyarrow is an extra, and imported when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crawler import url as urls
from crawler.errors import UsageError
from crawler.export.partitions import Partitions
from crawler.export.places import new_file, new_folder
from crawler.export.source import Source
from crawler.export.tables import Table, item_table, record_table

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH: Final = 2_000  # rows turned to columns at once
_GROUP_BYTES: Final = 64 * 1024 * 1024
_GROUP_ROWS: Final = 100_000


def write_parquet(source: Source, target: Path, *, items: str | None = None, partition: str | None = None) -> int:
    """Write a file, or with `partition` a folder of them, and return the number of rows. Raises UsageError, StoreError."""
    table = item_table(source, items) if items is not None else record_table(source)
    if partition is None:
        with new_file(target) as path:
            return _write_file(table, path)
    _check_partition(table, partition)
    with new_folder(target) as folder:
        return _write_folder(table, folder, partition)


def _write_file(table: Table, path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, count = _schema(table), 0
    group: list[pa.RecordBatch] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(table, schema):
            group.append(batch)
            count += batch.num_rows
            if sum(one.nbytes for one in group) >= _GROUP_BYTES or sum(one.num_rows for one in group) >= _GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(group))
                group = []
        if group:
            writer.write_table(pa.Table.from_batches(group))
    return count


def _write_folder(table: Table, folder: Path, partition: str) -> int:
    schema, count = _schema(table), 0
    place = next(index for index, column in enumerate(table.columns) if column.field == ("url" if partition == "host" else "fetched_at"))
    files = Partitions(folder, partition, schema)
    rows = table.rows()
    while batch := list(islice(rows, _BATCH)):
        files.add(_batch(batch, schema), [_partition(row[place], partition) for row in batch])
        count += len(batch)
    files.close()
    return count


def _partition(value: str | None, partition: str) -> str | None:
    if value is None:
        return None
    return urls.host(value) if partition == "host" else value[: len("2026-01-31")]


def _check_partition(table: Table, partition: str) -> None:
    if partition == "date" and table.item:
        raise UsageError("items have no date of their own: partition them by host, or write the records")
    if any(column.name == partition for column in table.columns):
        raise UsageError(f"{table.name} has a field {partition!r} already: it cannot be partitioned by another one of that name")


def _schema(table: Table) -> pa.Schema:
    import pyarrow as pa

    types = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "time": pa.timestamp("ms", tz="UTC"),
        "texts": pa.list_(pa.string()),
    }
    return pa.schema([pa.field(column.name, types.get(column.kind, pa.string())) for column in table.columns])


def _batches(table: Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    rows = table.rows()
    while batch := list(islice(rows, _BATCH)):
        yield _batch(batch, schema)


def _batch(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    columns = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays(
        [_array(list(values), field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
    )


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        texts = pa.array([value[:-1] if value else None for value in values], pa.string())  # without the Z: a time zone is not cast
        return texts.cast(pa.timestamp("ms")).cast(kind)
    return pa.array(values, kind)
