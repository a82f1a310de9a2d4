"""``crawl report``: a crawl summed up, as a page to read or as data."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from crawler.cli.files import refuse_unwritable
from crawler.config import DEFAULTS
from crawler.errors import Exit, StoreError, UsageError
from crawler.report.html import render_html
from crawler.report.junit import junit
from crawler.report.model import About, ReportModel
from crawler.report.sheet import report_csv
from crawler.report.summary import summarise
from crawler.secret import without_password
from crawler.shards.reader import open_reader
from crawler.store.reader import Status

STANDARD_OUTPUT: Final = "-"
FORMATS: Final[dict[str, Callable[[ReportModel], str]]] = {
    "html": render_html,
    "json": lambda model: msgspec.json.format(msgspec.json.encode(model), indent=1).decode() + "\n",
    "csv": report_csv,
    "junit": lambda model: junit(model.links, name=f"crawl {model.about.home}", urls=model.urls),
}
_ENDINGS: Final = {".html": "html", ".htm": "html", ".json": "json", ".csv": "csv", ".xml": "junit"}
_NAMES_ONLY: Final = ("fetch.headers", "fetch.sites")
"""Settings of which a report tells no values: it is made to be handed around."""

EPILOG: Final = (
    "A crawl that recorded its links (crawl run --record-links) has all pages with a broken link in its report, any other the one that "
    "named it first. 'crawl check URL' crawls a site for its broken links alone."
)


@click.command(epilog=EPILOG)
@click.argument("home", type=click.Path())
@click.option("-o", "--output", default=STANDARD_OUTPUT, metavar="FILE", show_default=True, help="A file; '-' is standard output.")
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), help="What to write.  [default: what the file's name says, .html .json .csv .xml]"
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
def command(home: str, output: str, form: str | None, overwrite: bool) -> Exit:
    """Sum up the crawl in the folder HOME: one HTML file with outcomes, broken links, redirects, copies, slow pages, sizes, hosts.

    Works while the crawl runs, too. The file needs no network and nothing beside it.
    """
    render = FORMATS[form or format_of(output)]
    check_output(output, overwrite=overwrite, text=form not in (None, "html"))
    reader = open_reader(Path(home))
    try:
        job = reader.job()
        about = about_crawl(reader.status(), changed_settings(msgspec.to_builtins(job.settings)))
        model = summarise(reader.records, about, max_redirects=job.settings.fetch.max_redirects)
    finally:
        reader.close()
    write_output(output, render(model))
    if output != STANDARD_OUTPUT:
        click.echo(f"report on {model.urls} URLs written to {output}", err=True)
    return Exit.FINISHED


def format_of(output: str) -> str:
    """Return the format that a file's name says. Raises UsageError when it says none."""
    if output == STANDARD_OUTPUT:
        return "html"
    ending = Path(output).suffix.lower()
    if ending not in _ENDINGS:
        raise UsageError(f"--output {output}: its name says no format; end it with one of {' '.join(_ENDINGS)}, or give --format")
    return _ENDINGS[ending]


def check_output(output: str, *, overwrite: bool, text: bool) -> None:
    """Raise UsageError when `output` cannot be written, or is a terminal and what comes is no `text` to be read there."""
    if output != STANDARD_OUTPUT:
        refuse_unwritable(Path(output), overwrite=overwrite)
    elif sys.stdout is None:
        raise UsageError("standard output is closed; name a file with --output")
    elif not text and sys.stdout.isatty():
        raise UsageError("a terminal shows no HTML; name a file: --output report.html")


def write_output(output: str, content: str) -> None:
    """Write a file whole or not at all, or to standard output. Raises StoreError."""
    data = content.encode("utf-8", "replace")
    if output == STANDARD_OUTPUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"--output {output}: cannot be written: {error.strerror}") from error


def about_crawl(status: Status, settings: dict[str, Any]) -> About:
    """Return what a report says of the crawl itself."""
    counters = status.counters
    return About(
        home=status.home.encode("utf-8", "replace").decode(),  # names of folders may be no text
        state=status.state,
        seeds=status.seeds,
        settings=settings,
        queued=status.queued,
        retries=counters.retries,
        elapsed=round(counters.elapsed, 3),
        refused=counters.refused,
        items=counters.items,
        faults=counters.faults,
    )


def changed_settings(settings: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the settings that differ from the defaults, by ``section.key``, without what is not for everybody's eyes."""
    usual = msgspec.to_builtins(DEFAULTS)
    changed: dict[str, Any] = {}
    for section, values in settings.items():
        for key, value in values.items():
            if value != usual.get(section, {}).get(key):
                changed[f"{section}.{key}"] = _fit_to_tell(f"{section}.{key}", value)
    return changed


def _fit_to_tell(name: str, value: Any) -> Any:
    if name in _NAMES_ONLY:
        return sorted(value)
    if name == "fetch.proxies":
        return {scheme: without_password(proxy) for scheme, proxy in value.items()}
    return value
