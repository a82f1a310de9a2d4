"""A folder with one file a page: its main content as Markdown with front matter, or as plain text; ``index.jsonl`` says which is which."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from crawler.errors import UsageError
from crawler.export.names import Names
from crawler.export.places import new_folder
from crawler.export.source import Source
from crawler.model import HTML_TYPES, Outcome, Record

INDEX: Final = "index.jsonl"
"""One JSON object for each file: file, url, title, fetched_at, digest."""

_FRONT_MATTER: Final = re.compile(r"\A---\n((?:(?:date|author): [^\n]*\n)+)---\n\n?")
_NEVER_RAW: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")  # YAML takes them for line ends, or refuses them, within quotes


def write_markdown(source: Source, target: Path) -> int:
    """Write a Markdown file for each page with text, and return their number; pages without text are left out.

    Raises UsageError when no record has text, or `target` may not be replaced; StoreError when the disk does not take it.
    """
    return _write(source, target, ".md", "markdown", _markdown)


def write_text(source: Source, target: Path) -> int:
    """Do the same as `write_markdown` with plain text, the text alone."""
    return _write(source, target, ".txt", "text", lambda _record, text: f"{text}\n")


def _write(source: Source, target: Path, extension: str, form: str, content: Callable[[Record, str], str]) -> int:
    encoder, names, count, lacking = msgspec.json.Encoder(), Names(extension), 0, 0
    with new_folder(target) as folder:
        with (folder / INDEX).open("wb") as index:
            for record in source.records():
                if not record.text:
                    lacking += record.outcome is Outcome.FETCHED and record.content_type in HTML_TYPES
                    continue
                path = names.path(record.url)
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content(record, record.text).encode("utf-8", "replace"))
                index.write(encoder.encode(_entry(path, record)) + b"\n")
                count += 1
        if lacking and not count:
            raise UsageError(
                f"--output {target}: this crawl kept no text of its {lacking} pages: name this output when you crawl,"
                f' or put text = "{form}" below [store] in the job'
            )
    return count


def _entry(path: str, record: Record) -> dict[str, str | None]:
    return {"file": path, "url": record.url, "title": record.title, "fetched_at": record.fetched_at, "digest": record.digest}


def _markdown(record: Record, text: str) -> str:
    """Return a page's Markdown below what is known of it: the date and author that its text begins with, and the record's facts."""
    found = _FRONT_MATTER.match(text)
    facts = {
        "url": record.url,
        "title": record.title,
        "description": record.description,
        "language": record.language,
        "fetched_at": record.fetched_at,
        "digest": record.digest,
    }
    lines = [f"{key}: {_quoted(value)}\n" for key, value in facts.items() if value]
    return f"---\n{''.join(lines)}{found[1] if found else ''}---\n\n{text[found.end() if found else 0 :]}\n"


def _quoted(value: str) -> str:
    """Return a YAML scalar in double quotes; JSON's strings are nearly all of YAML's."""
    return _NEVER_RAW.sub(lambda match: f"\\u{ord(match[0]):04x}", msgspec.json.encode(value).decode())
