"""The table of hostile cases leaves no number out, and shows none by a test that does not exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from cases import TABLE

ROOT = Path(__file__).parents[2]


def test_every_number_is_there_and_shown() -> None:
    assert list(TABLE) == list(range(1, 93))
    assert [number for number, case in TABLE.items() if not case.title or not (case.rows or case.tests)] == []


@pytest.mark.parametrize("node", sorted({node for case in TABLE.values() for node in case.tests}))
def test_what_shows_a_case_exists(node: str) -> None:
    file, _, name = node.partition("::")
    assert (ROOT / file).is_file()
    defined = {
        item.name for item in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not name or name in defined
    assert any(test.startswith("test_") for test in defined)
