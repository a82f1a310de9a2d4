"""The schema for editors: a schema indeed, and of one mind with the reader about what is a job and what is none."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from crawler.cli.job_files import load_job_file
from crawler.config import SECTIONS, defaults
from crawler.jobfile.read import KEYS
from crawler.jobfile.schema import job_schema

EXAMPLES = sorted(path for path in (Path(__file__).parents[3] / "config").glob("*.toml") if path.name != "default.toml")
STARTER = files("crawler.jobfile").joinpath("starter.toml").read_text(encoding="utf-8").format(name="job.toml")


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = job_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_it_has_every_key_and_every_setting_with_its_comment() -> None:
    schema = job_schema()
    assert list(schema["properties"]) == list(KEYS)
    for section in SECTIONS:
        settings = schema["$defs"][schema["properties"][section]["$ref"].rpartition("/")[2]]["properties"]
        assert settings.keys() == defaults()[section].keys()
        assert [key for key, value in settings.items() if len(value["description"]) < 20] == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_agree_with_it(validator: Draft202012Validator, file: Path) -> None:
    assert [error.message for error in validator.iter_errors(tomllib.loads(file.read_text()))] == []


@pytest.mark.parametrize(
    "document",
    [
        {"seed": ["https://a.example/"]},
        {"seeds": "https://a.example/"},
        {"scope": {"scope": "hots"}},
        {"scope": {"depth": -1}},
        {"politeness": {"hosts": {"a.b": {"per_hots": 1}}}},
        {"outputs": [{"items": "book"}]},
        {"extract": {"book": {"when": "x"}}},
        {"extract": {"book": {"fields": {"a": {"css": "b", "type": "flaot"}}}}},
        {"follow": [{"css": "a", "priority": 101}]},
    ],
    ids=str,
)
def test_mistakes_disagree_with_it(validator: Draft202012Validator, document: dict[str, Any]) -> None:
    assert not validator.is_valid(document)


def test_the_starter_is_right_as_it_is_and_with_all_that_it_suggests(validator: Draft202012Validator, tmp_path: Path) -> None:
    full = re.sub(r"(?m)^(\s*)# (?=\w+ = |\[|\{)", r"\1", STARTER)
    assert len(re.findall(r"(?m)^\s*# (?=\w+ = |\[|\{)", STARTER)) > 15
    (tmp_path / "seeds.txt").write_text("https://b.example/\n")
    (tmp_path / "hooks.py").write_text("def parse(page):\n    return []\n")
    for text, parts in ((STARTER, 0), (full, 1)):
        assert validator.is_valid(tomllib.loads(text))
        (tmp_path / "job.toml").write_text(text)
        job = load_job_file(str(tmp_path / "job.toml"))
        assert len(job.outputs) == 1 + parts
        assert (job.extraction is not None) == bool(parts)
