"""Records and items as tables: named columns of one kind each, and rows that come one after the other.

A record's columns follow from the type `Record`. An item's are the fields that its rule declares, in their order, then those that only
hooks brought, then the page's URL; their kinds are those of all values that came, so the items are read twice.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from crawler.errors import UsageError
from crawler.export.source import Source
from crawler.model import Record

Kind = Literal["text", "integer", "number", "boolean", "time", "texts", "json", "nothing"]
"""`texts` is a list of text, `json` a value of any shape as JSON text; `nothing` a column in which no row has a value."""

RECORDS: Final = "records"
_LARGEST: Final = 2**63 - 1
MAX_FIELDS: Final = 1_000
"""Columns of a type of item; fields beyond are in one more, as JSON: hooks may take names from pages, and databases have limits."""
_REST: Final = "type"  # stands for all fields that have no column: itself a field that never has one
_NAME_BYTES: Final = 56  # PostgreSQL cuts names off at 63, without a word; a number may come behind
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class Column(Struct, frozen=True):
    """A column: its values are of the kind, or None."""

    name: str
    kind: Kind
    field: str  # what it is called in a record or item


class Table(Struct, frozen=True):
    """`rows` begins anew at each call, and yields values in the order of the columns."""

    name: str
    columns: list[Column]
    rows: Callable[[], Iterator[tuple[Any, ...]]]
    item: bool  # of items, which several rows of one URL may be


def tables_of(source: Source, *, items: str | None = None, table: str | None = None) -> list[Table]:
    """Return the tables to write: the records and every type of item, or, with `items`, that type alone.

    `table` names the records' table, or that of the one type. Raises UsageError when there are no such items, or two tables of one name.
    """
    if items is not None:
        return [item_table(source, items, table)]
    kinds = survey(source)
    tables = [record_table(source, table), *(_item_table(source, name, found, None) for name, found in kinds.items())]
    names: dict[str, str] = {}
    for one in tables:
        if one.name.casefold() in names:
            raise UsageError(
                f"two tables would be called {one.name!r}: name that of the records (?table=pages), or write the items apart (?items=TYPE)"
            )
        names[one.name.casefold()] = one.name
    return tables


def record_table(source: Source, name: str | None = None) -> Table:
    """Return the table of all records."""

    def rows() -> Iterator[tuple[Any, ...]]:
        return (tuple(_record_value(getattr(record, column.field)) for column in RECORD_COLUMNS) for record in source.records())

    return Table(name or RECORDS, RECORD_COLUMNS, rows, item=False)


def _record_value(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if type(value) is dict else value


def _kind_of(name: str, annotation: Any) -> Kind:
    if isinstance(annotation, types.UnionType):
        [annotation] = [part for part in typing.get_args(annotation) if part is not types.NoneType]
    if name == "fetched_at":
        return "time"
    if annotation is int:
        return "integer"
    origin = typing.get_origin(annotation)
    return "texts" if origin is list else "json" if origin is dict else "text"


RECORD_COLUMNS: Final = [Column(name, _kind_of(name, annotation), name) for name, annotation in typing.get_type_hints(Record).items()]


def item_table(source: Source, item_type: str, name: str | None = None) -> Table:
    """Return the table of all items of one type. Raises UsageError when no rule makes such, and none came."""
    found = survey(source, item_type)
    if item_type not in found:
        known = ", ".join(found or survey(source)) or "none"
        raise UsageError(f"there are no items of type {item_type!r}; the crawl has: {known}")
    return _item_table(source, item_type, found[item_type], name)


def _item_table(source: Source, item_type: str, kinds: dict[str, set[Kind]], name: str | None) -> Table:
    columns = item_columns(kinds)
    convert = [(column.field, _CONVERT.get(column.kind, _as_it_is)) for column in columns]
    fields = {column.field for column in columns}

    def rows() -> Iterator[tuple[Any, ...]]:
        for line in source.items(item_type):
            item = msgspec.json.decode(line)
            if _REST in fields:
                item[_REST] = {field: value for field, value in item.items() if field not in fields} or None
            yield tuple(None if (value := item.get(field)) is None else as_kind(value) for field, as_kind in convert)

    return Table(name or item_type, columns, rows, item=True)


def survey(source: Source, item_type: str | None = None) -> dict[str, dict[str, set[Kind]]]:
    """Return the kinds of values that came, by type of item (of one or of all) and field; declared types and fields come first."""
    declared = {name: fields for name, fields in source.item_fields.items() if item_type in (None, name)}
    found: dict[str, dict[str, set[Kind]]] = {name: {field: set() for field in fields} for name, fields in declared.items()}
    for line in source.items(item_type):
        item = msgspec.json.decode(line)
        fields = found.setdefault(item["type"], {})
        for field, value in item.items():
            if field not in ("type", "url"):
                kinds = fields.setdefault(field, set()) if len(fields) <= MAX_FIELDS else fields.get(field)
                if value is not None and kinds is not None:
                    kinds.add(_kind(value))
    return found


def _kind(value: Any) -> Kind:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -_LARGEST <= value <= _LARGEST else "json"
    return "number" if isinstance(value, float) else "json"


def item_columns(kinds: dict[str, set[Kind]]) -> list[Column]:
    """Return the columns for fields with these kinds of values: mixed ones become text. Names differ in more than case."""
    columns: list[Column] = []
    taken: set[str] = {"url"}
    for field, found in list(kinds.items())[:MAX_FIELDS]:
        columns.append(Column(_new_name(field, taken), _one_kind(found), field))
    if len(kinds) > MAX_FIELDS:
        columns.append(Column(_new_name("more", taken), "json", _REST))
    return [*columns, Column("url", "text", "url")]


def _new_name(field: str, taken: set[str]) -> str:
    """Return a column's name that every database takes and that differs from those `taken` in more than case; take it."""
    plain = _UNPRINTABLE.sub("_", field).encode()[:_NAME_BYTES].decode("utf-8", "ignore") or "_"
    names = (f"{plain}_{number}" if number > 1 else plain for number in count(1))
    name = next(name for name in names if name.casefold() not in taken)
    taken.add(name.casefold())
    return name


def _one_kind(found: set[Kind]) -> Kind:
    if len(found) < 2:
        return next(iter(found), "nothing")
    if found == {"integer", "number"}:
        return "number"
    return "text" if "text" in found else "json"


def _as_it_is(value: Any) -> Any:
    return value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


_CONVERT: Final[dict[Kind, Callable[[Any], Any]]] = {
    "text": _as_text,
    "json": lambda value: msgspec.json.encode(value).decode(),
    "number": float,
}
