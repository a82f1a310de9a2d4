"""URLs whose files would be one on a file system that folds case or composes accents get names of their own."""

from __future__ import annotations

import pytest

from crawler.export.mirror_names import folded
from crawler.export.names import Names


@pytest.mark.parametrize("paths", [("%C3%A9", "e%CC%81", "E%CC%81"), ("Foo", "foo", "FOO"), ("straße", "STRASSE"), ("a%00b", "a_b", "a:b")])
def test_names_that_are_one_to_some_systems(paths: tuple[str, ...]) -> None:
    names = Names(".md")
    given = {folded(names.path(f"http://h.example/{path}")) for path in paths}
    assert len(given) == len(paths)
    assert folded("e\u0301") == folded("\u00c9") == "\u00e9"
