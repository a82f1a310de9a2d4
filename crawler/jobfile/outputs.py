"""The outputs of a job: names, or tables that say the same with keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from crawler.errors import UsageError
from crawler.extract.rules import Extraction
from crawler.jobfile.lines import Path
from crawler.jobfile.mistakes import Mistake, meant, there_are

OUTPUT_KEYS: Final = ("path", "items", "partition", "table")
"""What an output may say when it is a table."""

NO_PATH: Final = "has a null character, which no name of a file has; take it out"

OutputItems = Callable[[str], str | None]
"""Gives the type of item that an output's name asks for; raises UsageError for a name that is none."""


def read_outputs(document: dict[str, Any], extraction: Extraction, output_items: OutputItems | None) -> tuple[list[str], list[Mistake]]:
    """Return the outputs as names with their options, ``books.csv?items=book``, and what is wrong with them."""
    given = document.get("outputs", [])
    if not isinstance(given, list):
        return [], [Mistake(("outputs",), 'must be a list, as in outputs = ["books.jsonl"]')]
    names: list[str] = []
    mistakes: list[Mistake] = []
    for number, output in enumerate(given):
        path: Path = ("outputs", number)
        wrong = list(_shape_mistakes(output, path))
        if not wrong:
            name = _name(output)
            if name in names:
                wrong.append(Mistake(path, f"{name} is outputs[{names.index(name)}] already; leave one out"))
            elif output_items is not None:
                wrong += _item_mistakes(name, path, extraction, output_items)
            names.append(name)
        mistakes += wrong
    return names, mistakes


def _shape_mistakes(output: Any, path: Path) -> Iterator[Mistake]:
    if isinstance(output, str) and output:
        if "\0" in output:
            yield Mistake(path, NO_PATH)
        return
    if not isinstance(output, dict):
        yield Mistake(path, 'must be a name, as "books.jsonl", or a table, as { path = "books.csv", items = "book" }')
        return
    for key, value in output.items():
        if key not in OUTPUT_KEYS:
            yield Mistake((*path, key), f"unknown key; {meant(key, OUTPUT_KEYS, there_are(OUTPUT_KEYS))}")
        elif not isinstance(value, str) or not value:
            yield Mistake((*path, key), "must be text that is not empty")
        elif "\0" in value:
            yield Mistake((*path, key), NO_PATH)
    if "path" not in output:
        yield Mistake(path, 'path is missing: the name of what is written, as in path = "books.csv"')


def _name(output: str | dict[str, str]) -> str:
    """Return an output as one name: what a table says besides its path stands after a question mark."""
    if isinstance(output, str):
        return output
    options = "&".join(f"{key}={value}" for key, value in output.items() if key != "path")
    mark = "&" if "?" in output["path"] else "?"
    return f"{output['path']}{mark}{options}" if options else output["path"]


def _item_mistakes(name: str, path: Path, extraction: Extraction, output_items: OutputItems) -> Iterator[Mistake]:
    try:
        items = output_items(name)
    except UsageError as error:
        yield Mistake(path, str(error).removeprefix("--output "))
        return
    if items is None or items in extraction.items or extraction.hook is not None:  # what a hook yields is not known before
        return
    types = list(extraction.items)
    remedy = meant(items, types, there_are(types) if types else f"add [extract.{items}], or leave items out")
    yield Mistake(path, f"no rule makes items of the type {items!r}; {remedy}")
