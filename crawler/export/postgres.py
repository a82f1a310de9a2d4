"""PostgreSQL: rows are copied into a temporary table, then replace those of the same URL; all tables in one transaction.

A table that is not there is made, a column that is not there is added; one of another type is refused, unless it takes every value.
Records have the key ``url``. Of a type of item a page may have several: their key is ``url`` and ``item_number``, counted from 1 in the
page's order; what an earlier crawl found beyond a page's present number is deleted (of a page that has none any more, its rows stay, as
those of a page that was not crawled). psycopg (LGPL) is an extra.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from crawler.errors import StoreError, UsageError
from crawler.export.source import Source
from crawler.export.tables import Column, Kind, Table, tables_of
from crawler.secret import without_password

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

_TYPES: Final[dict[Kind, str]] = {
    "text": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "time": "timestamp with time zone",
    "texts": "text[]",
    "json": "jsonb",
    "nothing": "text",
}
_NUMBERS: Final = ("double precision", "numeric")
_ALSO_TAKES: Final[dict[Kind, tuple[str, ...]]] = {
    "text": ("character varying",),
    "integer": ("integer", *_NUMBERS),
    "number": ("numeric",),
    "json": ("json",),
}
_TEMPORARY: Final = "crawl_incoming"
_CONNECT_TIMEOUT: Final = 10  # seconds


def write_postgres(source: Source, target: str, *, items: str | None = None, table: str | None = None) -> int:
    """Write tables into the database at the address `target`; return the number of rows. Raises UsageError, StoreError."""
    import psycopg

    tables = tables_of(source, items=items, table=table)
    try:
        with connect(target) as connection:
            return sum(_write(connection, one) for one in tables)
    except psycopg.Error as error:
        raise StoreError(f"{without_password(target)}: {_said(error)}") from error


def check_postgres(target: str) -> None:
    """Raise StoreError when the database cannot be connected to, UsageError when the address is none."""
    import psycopg

    try:
        connect(target).close()
    except psycopg.ProgrammingError as error:
        raise UsageError(f"--output {without_password(target)}: not an address of a database: {_said(error)}") from error
    except psycopg.Error as error:
        raise StoreError(f"--output {without_password(target)}: {_said(error)}") from error


def connect(target: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Return an open connection. What the address leaves out comes from libpq's environment (PGPASSWORD, PGSERVICE, …)."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    given: dict[str, Any] = {"connect_timeout": _CONNECT_TIMEOUT, "application_name": "crawl", **conninfo_to_dict(target)}
    return psycopg.connect(**given)


def _said(error: Exception) -> str:
    return " ".join(re.sub(r"password=\S+", "password=…", str(error)).split())


def _write(connection: psycopg.Connection[tuple[Any, ...]], table: Table) -> int:
    from psycopg import sql

    name = sql.Identifier(*table.name.split(".", 1))
    number = _number_column(table)
    columns = [*table.columns, number] if table.item else list(table.columns)
    key = ["url", number.name] if table.item else ["url"]
    _make_table(connection, name, columns, key)
    existing = _column_types(connection, name)
    for column in columns:
        _check_type(table, column, existing)
    _copy(connection, columns, _numbered(table) if table.item else table.rows())
    count = _upsert(connection, name, columns, key, existing)
    if table.item:
        _delete_surplus(connection, name, number)
    connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(_TEMPORARY)))
    return count


def _number_column(table: Table) -> Column:
    name = "item_number"
    while any(column.name.casefold() == name for column in table.columns):
        name = f"{name}_"
    return Column(name, "integer", name)


def _numbered(table: Table) -> Iterator[tuple[Any, ...]]:
    """Yield rows with their number within the page: a page's items are stored together."""
    place = next(index for index, column in enumerate(table.columns) if column.field == "url")
    url, number = None, 0
    for row in table.rows():
        number = number + 1 if row[place] == url else 1
        url = row[place]
        yield (*row, number)


def _make_table(connection: psycopg.Connection[tuple[Any, ...]], name: sql.Identifier, columns: list[Column], key: list[str]) -> None:
    from psycopg import sql

    typed = [sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(_TYPES[column.kind])) for column in columns]
    keys = sql.SQL(", ").join(map(sql.Identifier, key))
    connection.execute("SET LOCAL client_min_messages = warning")  # not that it is there already
    connection.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({}))").format(name, sql.SQL(", ").join(typed), keys))
    existing = _column_types(connection, name)
    for column, definition in zip(columns, typed, strict=True):
        if column.name not in existing:
            connection.execute(sql.SQL("ALTER TABLE {} ADD COLUMN {}").format(name, definition))
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(sql.Identifier(_TEMPORARY), sql.SQL(", ").join(typed))
    )


def _column_types(connection: psycopg.Connection[tuple[Any, ...]], name: sql.Identifier) -> dict[str, str]:
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        [name.as_string(connection)],
    )
    return {row[0]: row[1] for row in rows}


def _check_type(table: Table, column: Column, existing: dict[str, str]) -> None:
    wanted, have = _TYPES[column.kind], existing[column.name]
    if column.kind == "nothing" or have in (wanted, "text", *_ALSO_TAKES.get(column.kind, ())):
        return
    raise UsageError(
        f"the table {table.name} has the column {column.name} as {have}, and the crawl's values are {wanted}:"
        " change the column's type, or name another table with ?table=NAME"
    )


def _copy(connection: psycopg.Connection[tuple[Any, ...]], columns: list[Column], rows: Iterator[tuple[Any, ...]]) -> None:
    from psycopg import sql

    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
    risky = [index for index, column in enumerate(columns) if column.kind in ("text", "texts", "json")]
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(_TEMPORARY), names)) as copy,
    ):
        for row in rows:
            values = list(row)
            for index in risky:
                if _holds_null(values[index]):
                    values[index] = _without_null(values[index], columns[index].kind)
            copy.write_row(values)


def _holds_null(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value or "\\u0000" in value
    return value is not None and any("\x00" in text for text in value)


def _without_null(value: Any, kind: Kind) -> Any:
    """Return a value without the one character that PostgreSQL's text cannot hold; in its place stands U+FFFD."""
    if kind == "json":
        return msgspec.json.encode(_replaced(msgspec.json.decode(value))).decode()
    return _replaced(value)


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [_replaced(one) for one in value]
    return {_replaced(key): _replaced(one) for key, one in value.items()} if isinstance(value, dict) else value


def _upsert(
    connection: psycopg.Connection[tuple[Any, ...]],
    name: sql.Identifier,
    columns: list[Column],
    key: list[str],
    existing: dict[str, str],
) -> int:
    from psycopg import sql

    def listed(form: str, chosen: list[Column]) -> sql.Composed:
        one = sql.SQL(form)
        return sql.SQL(", ").join(one.format(sql.Identifier(column.name), sql.SQL(existing[column.name])) for column in chosen)

    values = [column for column in columns if column.name not in key]
    query = sql.SQL(
        "INSERT INTO {name} ({columns}) SELECT DISTINCT ON ({key}) {cast} FROM {incoming} ORDER BY {key}, ctid DESC"
        " ON CONFLICT ({key}) DO UPDATE SET {new}"
    ).format(
        name=name,
        columns=listed("{0}", columns),
        key=sql.SQL(", ").join(map(sql.Identifier, key)),
        cast=listed("{0}::{1}", columns),
        incoming=sql.Identifier(_TEMPORARY),
        new=listed("{0} = EXCLUDED.{0}", values),
    )
    return connection.execute(query).rowcount


def _delete_surplus(connection: psycopg.Connection[tuple[Any, ...]], name: sql.Identifier, number: Column) -> None:
    from psycopg import sql

    connection.execute(
        sql.SQL(
            "DELETE FROM {name} AS kept USING (SELECT url, max({number}) AS last FROM {incoming} GROUP BY url) AS page"
            " WHERE kept.url = page.url AND kept.{number} > page.last"
        ).format(name=name, number=sql.Identifier(number.name), incoming=sql.Identifier(_TEMPORARY))
    )
