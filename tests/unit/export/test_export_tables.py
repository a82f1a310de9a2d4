"""Columns, kinds and rows of records and items."""

from __future__ import annotations

import pytest
from made_source import BOOKS, FIELDS, books, record, source

from crawler.errors import UsageError
from crawler.export.tables import RECORD_COLUMNS, item_table, record_table, tables_of
from crawler.model import Record


def test_a_record_has_a_column_for_each_field() -> None:
    assert [column.name for column in RECORD_COLUMNS] == list(Record.__struct_fields__)
    kinds = {column.name: column.kind for column in RECORD_COLUMNS if column.kind != "text"}
    integers = dict.fromkeys(("status", "elapsed_ms", "depth", "bytes", "attempts"), "integer")
    lists = dict.fromkeys(("robots", "links", "anchors", "fragments"), "texts")
    assert kinds == {**integers, **lists, "fetched_at": "time", "headers": "json"}


def test_rows_of_records_are_in_the_order_of_the_columns() -> None:
    table = record_table(source([record(headers={"a": "b"}, robots=["noindex"])]))
    [row] = table.rows()
    values = dict(zip([column.name for column in table.columns], row, strict=True))
    assert (values["url"], values["headers"], values["robots"], values["status"]) == ("http://a.example/", '{"a":"b"}', ["noindex"], 200)
    assert len(list(table.rows())) == 1, "rows begin anew"


def test_an_items_columns_are_the_declared_fields_then_others_then_the_url() -> None:
    table = item_table(books(), "book")
    kinds = {column.name: column.kind for column in table.columns}
    assert list(kinds) == [*FIELDS["book"], "extra", "url"]
    assert kinds == {
        "title": "text",
        "price": "number",  # of 12.5 and 3
        "pages": "integer",
        "new": "boolean",
        "tags": "json",
        "nothing": "nothing",
        "extra": "text",  # of 1 and "two"
        "url": "text",
    }
    assert list(table.rows()) == [
        ('Ä, "b"', 12.5, 100, True, '["x","y"]', None, "1", "http://a.example/1"),
        ("=1+1", 3.0, None, False, "[]", None, "two", "http://a.example/1"),
        ("line\nbreak", None, 2**62, None, None, None, None, "http://b.example/2"),
    ]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2**70], "json"),
        ([1, True], "json"),
        ([{"a": 1}, "b"], "text"),
        ([{"a": 1}, [1]], "json"),
        ([0.5, None], "number"),
        ([None], "nothing"),
    ],
)
def test_a_column_takes_every_value_that_came(values: list[object], kind: str) -> None:
    items = [{"type": "t", "url": "http://a.example/", "v": value} for value in values]
    table = item_table(source(items=items), "t")
    assert table.columns[0].kind == kind
    assert [row[0] is None for row in table.rows()] == [value is None for value in values]


def test_names_that_differ_in_case_alone_are_told_apart() -> None:
    table = item_table(source(items=[{"type": "t", "url": "u", "Price": 1, "price": 2, "URL": 3}]), "t")
    assert [column.name for column in table.columns] == ["Price", "price_2", "URL_2", "url"]
    assert list(table.rows()) == [(1, 2, 3, "u")]


def test_all_tables_of_a_crawl_and_one_of_them() -> None:
    assert [(table.name, table.item) for table in tables_of(books())] == [("records", False), ("book", True), ("author", True)]
    assert [table.name for table in tables_of(books(), table="pages")] == ["pages", "book", "author"]
    assert [table.name for table in tables_of(books(), items="book", table="library")] == ["library"]
    assert [table.name for table in tables_of(source(fields={"book": ["title"]}))] == ["records", "book"], "declared, and none came"


def test_tables_that_cannot_be_are_told_with_the_remedy() -> None:
    with pytest.raises(UsageError, match="no items of type 'boat'; the crawl has: book, author"):
        item_table(books(), "boat")
    with pytest.raises(UsageError, match="the crawl has: none"):
        item_table(source(), "book")
    with pytest.raises(UsageError, match=r"\?table=pages"):
        tables_of(source(items=[{"type": "Records", "url": "u"}]))
    assert len(BOOKS) == 4
