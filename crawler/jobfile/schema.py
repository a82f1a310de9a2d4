"""The JSON Schema of job files (draft 2020-12), for editors that complete and check them as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from crawler.config import DEFAULTS, SECTIONS, Settings
from crawler.extract.rules import SOURCES, TYPES, Extraction
from crawler.jobfile.outputs import OUTPUT_KEYS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_PLACES: Final = (Path(__file__).parent / "default.toml", Path(__file__).parents[2] / "config" / "default.toml")
"""The file of defaults as it is installed, and in a source tree."""

_OUTPUT: Final = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "properties": {key: {"type": "string", "minLength": 1} for key in OUTPUT_KEYS},
            "required": ["path"],
            "additionalProperties": False,
        },
    ]
}
_OWN: Final[dict[str, dict[str, Any]]] = {
    "seeds": {"description": "URLs to begin with.", "type": "array", "items": {"type": "string"}},
    "seeds_file": {
        "description": 'A file with more seeds, one URL a line, beside the job file; "-" is standard input.',
        "type": "string",
    },
    "outputs": {
        "description": 'What is written: names whose ends say the format, or tables, as { path = "books.csv", items = "book" }.',
        "type": "array",
        "items": _OUTPUT,
    },
    "home": {"description": "The folder of the crawl's state. Default: this file's name with .crawl.", "type": "string", "minLength": 1},
}


def job_schema() -> dict[str, Any]:
    """Return the schema of a job file as plain values."""
    kinds = (Settings, Extraction)
    _, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    definitions = {name: {**definition, "description": _paragraph(definition)} for name, definition in components.items()}
    sections, rules = definitions.pop("Settings"), definitions.pop("Extraction")
    _describe_settings(definitions)
    _describe_rules(definitions)
    properties = dict(_OWN)
    for section in SECTIONS:
        kind = type(getattr(DEFAULTS, section)).__name__
        properties[section] = {"$ref": f"#/$defs/{kind}", "description": definitions[kind]["description"]}
    properties["extract"] = {**rules["properties"]["items"], "description": "Types of items, each with the rules that take it from pages."}
    properties["follow"] = {**rules["properties"]["follow"], "description": "Which links of a page are followed, and which first."}
    properties["hook"] = {"type": "string", "description": "A Python file beside this one with a function parse(page)."}
    assert sections["properties"].keys() == set(SECTIONS)
    return {
        "$schema": DIALECT,
        "title": "Crawl job",
        "description": "What one crawl is to do: crawl run --job FILE",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": dict(sorted(definitions.items())),
    }


def _describe_settings(definitions: dict[str, Any]) -> None:
    """Add the comments of the file of defaults to the settings, and say of secrets how they are written."""
    comments = dict(setting_comments())
    for section in SECTIONS:
        for key, schema in definitions[type(getattr(DEFAULTS, section)).__name__]["properties"].items():
            schema["description"] = comments.get(f"{section}.{key}", "")
    site, secret = definitions["SiteSettings"]["properties"], "A secret is named, not written: env:NAME or file:PATH."
    for key in ("password", "bearer"):
        site[key]["description"] = secret


def _describe_rules(definitions: dict[str, Any]) -> None:
    """Say of the fields of items what the types leave open."""
    field = definitions["Field"]["properties"]
    field["type"] = {"enum": list(TYPES), "default": "text", "description": "What the value is made."}
    for source in SOURCES:
        field[source]["description"] = f"Where the value comes from; a field has one of {', '.join(SOURCES)}."
    definitions["FollowRule"]["properties"]["priority"] |= {"minimum": -100, "maximum": 100}


def setting_comments() -> Iterator[tuple[str, str]]:
    """Yield the comment of each setting in the file of defaults, by ``section.key``; none where that file is not there."""
    file = next((place for place in _PLACES if place.is_file()), None)
    section = comment = ""
    for line in file.read_text(encoding="utf-8").splitlines() if file else ():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        elif setting := re.match(r"(?:# )?(\w+) = ", line):
            yield f"{section}.{setting[1]}", comment
        comment = line.removeprefix("# ")


def _paragraph(definition: dict[str, Any]) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join(str(definition.get("description", "")).partition("\n\n")[0].split())
