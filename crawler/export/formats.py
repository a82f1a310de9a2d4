"""What can be written from a crawl, and how an output is named.

An output is a path or an address; its extension, its trailing slash or its scheme names the format, and what follows a question mark
says more: ``books.parquet?items=book&partition=host``. `FORMATS` is the list; a writer is ``function(source, target, **options) -> int``,
the number of things written, imported only when it is called: it makes the target whole or not at all (`crawler.export.places`).
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from msgspec import Struct

from crawler.errors import UsageError
from crawler.export.source import Source
from crawler.secret import without_password
from crawler.store.outputs import EXTENSIONS

STANDARD_OUTPUT: Final = "-"
OBJECT_SCHEMES: Final = ("s3", "gs", "az")
_WRITE_OBJECT: Final = "crawler.export.objects:write_object"
OPTIONS: Final = {
    "items": "the type of item to write, instead of records",
    "partition": "host or date: a folder of Parquet files, one folder for each",
    "table": "the name of the table",
}
PARTITIONS: Final = ("host", "date")


class Format(Struct, frozen=True):
    """One form of output. `extensions` end a file's name; those that end in a slash name a folder."""

    name: str
    extensions: tuple[str, ...]
    write: str  # "module:function"
    things: str  # what is counted, in the singular: "record"
    help: str
    streamed: bool = False  # records are appended to it while the crawl runs (`crawler.store.outputs`)
    needs: tuple[str, ...] = ()  # keys of NEEDS
    items: bool = False  # it can hold items instead of records
    outcomes: bool = True  # it is made of records, of which some can be chosen
    options: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()  # of addresses
    requires: tuple[tuple[str, str], ...] = ()  # (module, our extra that installs it)


def _lines(name: str, about: str) -> Format:
    options = ("items", "form")
    extensions = tuple(extension for extension, form in EXTENSIONS.items() if form == name)
    return Format(name, extensions, "crawler.export.lines:write_lines", "record", about, streamed=True, items=True, options=options)


_TABLE: Final = ("items", "table")
_LIST: Final = (
    _lines("jsonl", "JSON lines, one record each"),
    _lines("jsonl.gz", "JSON lines, gzip"),
    _lines("jsonl.zst", "JSON lines, Zstandard"),
    _lines("csv", "CSV with a header line, without lists and texts"),
    Format(
        "parquet",
        (".parquet",),
        "crawler.export.parquet:write_parquet",
        "row",
        "Parquet; ?partition=host or date: a folder of files",
        items=True,
        options=("items", "partition"),
        requires=(("pyarrow", "parquet"),),
    ),
    Format(
        "sqlite",
        (".sqlite", ".sqlite3", ".db"),
        "crawler.export.sqlite:write_sqlite",
        "row",
        "an SQLite database: table records, a table per type of item",
        items=True,
        options=_TABLE,
    ),
    Format(
        "postgres",
        (),
        "crawler.export.postgres:write_postgres",
        "row",
        "PostgreSQL: tables made where they lack, rows replaced by URL",
        items=True,
        options=_TABLE,
        schemes=("postgresql", "postgres"),
        requires=(("psycopg", "postgres"),),
    ),
    Format(
        "warc",
        (".warc.gz",),
        "crawler.export.warc:write_warc",
        "WARC record",
        "WARC 1.1, with its index (.cdxj) beside",
        needs=("archive",),
        outcomes=False,
    ),
    Format("cdxj", (".cdxj",), "crawler.export.cdxj:write_cdxj", "line", "the index of a WARC", needs=("archive",), outcomes=False),
    Format(
        "wacz",
        (".wacz",),
        "crawler.export.wacz:write_wacz",
        "page",
        "WACZ 1.1.1: WARC, index and pages in one file",
        needs=("archive",),
        outcomes=False,
    ),
    Format(
        "markdown",
        (".md/",),
        "crawler.export.pages:write_markdown",
        "page",
        "a folder: each page's main content as Markdown",
        needs=("markdown",),
    ),
    Format("text", (".txt/",), "crawler.export.pages:write_text", "page", "a folder: each page's main content as text", needs=("text",)),
    Format(
        "mirror",
        (".mirror/",),
        "crawler.export.mirror:write_mirror",
        "file",
        "a folder: the site's files, links rewritten, opens offline",
        needs=("archive", "requisites"),
        outcomes=False,
    ),
)
FORMATS: Final = {form.name: form for form in _LIST}

NEEDS: Final[dict[str, tuple[str, Any]]] = {
    "archive": ("store.archive", True),
    "text": ("store.text", "text"),
    "markdown": ("store.text", "markdown"),
    "requisites": ("scope.requisites", True),
}
"""What a format is made of, and the setting (with its value) that lets a crawl keep it."""


class Output(Struct, frozen=True):
    """An output as its name says: `target` is a path or an address without `options`."""

    given: str
    target: str
    format: Format
    options: dict[str, str] = {}

    @property
    def scheme(self) -> str:
        """The scheme of an address, or nothing for a path."""
        return _scheme(self.target)

    @property
    def things(self) -> str:
        """What is counted in it, in the singular."""
        return "item" if "items" in self.options else self.format.things

    @property
    def is_local(self) -> bool:
        """Whether the target is a path; standard output is none."""
        return not self.scheme and self.target != STANDARD_OUTPUT

    @property
    def is_folder(self) -> bool:
        """Whether the target is a folder of files."""
        named = bool(self.format.extensions) and all(extension.endswith("/") for extension in self.format.extensions)
        return named or "partition" in self.options

    @property
    def is_streamed(self) -> bool:
        """Whether a running crawl appends to it; all others are derived from the crawl's logs."""
        return self.format.streamed and not self.scheme and "items" not in self.options


def parse_output(name: str, *, form: str | None = None, options: Mapping[str, str] | None = None) -> Output:
    """Return what an output's name says; `form` and `options` given apart win over it. Raises UsageError with the remedy."""
    target, named = _split(name)
    found = FORMATS[form] if form else _format_of(target, name)
    wanted = {**named, **(options or {})}
    for option, value in wanted.items():
        _check_option(name, found, option, value)
    if found.schemes and _scheme(target) not in found.schemes:
        raise UsageError(
            f"--output {without_password(name)}: {found.name} is written to an address: {found.schemes[0]}://user@host/database"
        )
    return Output(name, target, found, wanted)


def needed_settings(outputs: Iterable[str]) -> dict[str, Any]:
    """Return the settings, as ``{"store.archive": True}``, without which a crawl could not make these outputs.

    Raises UsageError when two of them exclude each other.
    """
    wanted: dict[str, Any] = {}
    by: dict[str, str] = {}
    for name in outputs:
        for key, value in settings_of(parse_output(name)).items():
            if wanted.setdefault(key, value) != value:
                raise UsageError(
                    f"--output {without_password(name)}: cannot be made together with {by[key]}: a page's text is kept in one form"
                )
            by.setdefault(key, name)
    return wanted


def settings_of(output: Output) -> dict[str, Any]:
    """Return the settings without which a crawl could not make this output."""
    return dict(NEEDS[need] for need in output.format.needs)


def check_installed(output: Output) -> None:
    """Raise UsageError when a library that writes this output is not there."""
    requires = list(output.format.requires)
    if output.scheme in OBJECT_SCHEMES:
        requires.append(("obstore", "objects"))
    for module, extra in requires:
        if find_spec(module) is None:
            raise UsageError(
                f"--output {without_password(output.given)}: needs {module}, which is not installed: pip install 'crawl[{extra}]'"
            )


def write(output: Output, source: Source) -> int:
    """Write an output anew, in place of what is there, and return how many things were written.

    Raises UsageError for what the crawl does not hold, StoreError when the target does not take it.
    """
    check_installed(output)
    options: dict[str, Any] = dict(output.options)
    if "form" in output.format.options:
        options["form"] = output.format.name
    if output.scheme in OBJECT_SCHEMES:
        return _function(_WRITE_OBJECT)(output, lambda path: _function(output.format.write)(source, path, **options))
    target = Path(output.target) if output.is_local else output.target
    return _function(output.format.write)(source, target, **options)


def _function(name: str) -> Callable[..., int]:
    module, _, function = name.partition(":")
    found: Callable[..., int] = getattr(importlib.import_module(module), function)
    return found


def _scheme(target: str) -> str:
    scheme, found, _ = target.partition("://")
    return scheme.lower() if found else ""


def _split(name: str) -> tuple[str, dict[str, str]]:
    """Split an output's name into its target and our options. A file may have a question mark in its name, an address others' options."""
    target, mark, query = name.rpartition("?")
    if not mark or "=" not in query:
        return name, {}
    scheme = _scheme(name)
    pairs = parse_qsl(query, keep_blank_values=True)
    if scheme and scheme not in OBJECT_SCHEMES:
        others = "&".join(part for part in query.split("&") if part.partition("=")[0] not in OPTIONS)
        return target + (f"?{others}" if others else ""), {key: value for key, value in pairs if key in OPTIONS}
    if not scheme and _by_extension(name):
        return name, {}
    for key, _ in pairs:
        if key not in OPTIONS:
            close = difflib.get_close_matches(key, OPTIONS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(OPTIONS)}"
            raise UsageError(f"--output {without_password(name)}: unknown option {key!r} after the question mark; {hint}")
    return target, dict(pairs)


def _check_option(name: str, form: Format, option: str, value: str) -> None:
    if option not in form.options:
        able = [other.name for other in _LIST if option in other.options]
        raise UsageError(f"--output {without_password(name)}: {form.name} has no {option}; these have: {', '.join(able)}")
    if not value:
        raise UsageError(f"--output {without_password(name)}: {option} is empty; it says {OPTIONS[option]}")
    if option == "partition" and value not in PARTITIONS:
        raise UsageError(f"--output {without_password(name)}: partition is {value!r}; it can be {' or '.join(PARTITIONS)}")


def _by_extension(target: str) -> Format | None:
    folded = target.lower()
    ends = sorted(((extension, form) for form in _LIST for extension in form.extensions), key=lambda pair: -len(pair[0]))
    return next((form for extension, form in ends if folded.endswith(extension)), None)


def _format_of(target: str, name: str) -> Format:
    if target == STANDARD_OUTPUT:
        return FORMATS["jsonl"]
    scheme = _scheme(target)
    for form in _LIST:
        if scheme in form.schemes:
            return form
    if scheme and scheme not in OBJECT_SCHEMES:
        known = [*OBJECT_SCHEMES, *(one for form in _LIST for one in form.schemes)]
        raise UsageError(f"--output {without_password(name)}: cannot write to {scheme}://; these can be written to: {', '.join(known)}")
    found = _by_extension(target)
    if found is not None:
        return found
    if (folder := _by_extension(f"{target}/")) is not None:
        raise UsageError(f"--output {without_password(name)}: {folder.name} is a folder; end its name with a slash: {target}/")
    known = [extension for form in _LIST for extension in form.extensions[:1]]
    raise UsageError(
        f"--output {without_password(name)}: the extension names the format: {' '.join(known)} ('-' writes JSON lines to standard output)"
    )
