"""Whatever stands in a job file: it is a job, or every complaint names the file; nothing else is raised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.config import load
from crawler.errors import InvalidConfig
from crawler.jobfile.read import KEYS, read_job_file
from crawler.jobfile.schema import job_schema

SCHEMA = job_schema()


def names(schema: Any) -> set[str]:
    """Return every key that a schema knows, wherever it stands."""
    if isinstance(schema, list):
        return set().union(*map(names, schema))
    if not isinstance(schema, dict):
        return set()
    return set(schema.get("properties", {})).union(*map(names, schema.values()))


WORDS = st.sampled_from([*sorted(names(SCHEMA)), "*.a.example", "https://a.example", "", "book", "a b"])
TEXTS = st.one_of(
    WORDS, st.sampled_from(["(", "a\0.py", "env:A", "file:x", "https://a.example/", "b.csv?items=book", "-", "a.py"]), st.text(max_size=5)
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-2, 2**60), st.floats(), TEXTS)
VALUES = st.recursive(LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)), max_leaves=6)
DOCUMENTS = st.dictionaries(st.sampled_from(KEYS), st.one_of(VALUES, st.dictionaries(WORDS, VALUES, max_size=4)), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(document=DOCUMENTS)
def test_any_document(tmp_path: Path, document: dict[str, Any]) -> None:
    file = tmp_path / "any.json"
    file.write_text(json.dumps(document))
    try:
        job = read_job_file(file, output_items=lambda name: name.partition("items=")[2] or None)
    except InvalidConfig as error:
        assert all(line.startswith(f"{file}") for line in str(error).splitlines())  # noqa: PT017 - either end is right
        return
    load(job=(str(file), job.values))  # what is no mistake here is none there


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "2026-01-01", "2026-01-01T10:00:00Z", "10:00:00", "0x10", "1e400"])
@pytest.mark.parametrize("key", ["politeness.delay", "scope.depth", "scope.include", "store.text", "fetch.sites", "seeds", "outputs"])
def test_values_that_json_lacks(tmp_path: Path, key: str, value: str) -> None:
    file = tmp_path / "any.toml"
    file.write_text(f"{key} = {value}\n")
    if key in ("scope.depth", "politeness.delay") and value == "0x10":
        assert read_job_file(file).values[key] == 16
        return
    with pytest.raises(InvalidConfig) as caught:
        read_job_file(file)
    assert str(caught.value).startswith(f"{file}:1: {key}: must be")
