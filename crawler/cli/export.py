"""``crawl export``: what a crawl has brought, in any of the forms, also while it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from crawler.cli.derived import assigned
from crawler.cli.quantities import plural
from crawler.cli.sources import source_of
from crawler.config import setting
from crawler.errors import Exit, UsageError
from crawler.export.formats import FORMATS, NEEDS, OPTIONS, PARTITIONS, STANDARD_OUTPUT, Output, parse_output, write
from crawler.export.lines import send_lines
from crawler.export.source import Source
from crawler.export.targets import check_target
from crawler.job import Job
from crawler.model import Outcome
from crawler.secret import without_password
from crawler.shards.reader import open_reader

_ABOUT: Final = "\n".join(
    f"  {form.extensions[0] if form.extensions else form.schemes[0] + '://':<14}{form.help}" for form in FORMATS.values()
)
_FORM: Final = f"{', '.join(FORMATS)}.  [default: what the output's name says, else jsonl]"
EPILOG: Final = (
    f"\b\nThe output's name says the format:\n{_ABOUT}\n"
    "  s3:// gs:// az://  the same as objects: s3://bucket/pages.parquet\n\n"
    "What an archive, a mirror or pages' text are made of has to be kept by the crawl: 'crawl run -o NAME' sees to it."
)


@click.command(epilog=EPILOG)
@click.argument("home", type=click.Path())
@click.option("--format", "form", type=click.Choice(list(FORMATS)), metavar="NAME", help=_FORM)
@click.option("-o", "--output", default="-", metavar="PATH", show_default=True, help="A file, folder or address; '-' is standard output.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@click.option("--items", metavar="TYPE", help="The items of this type instead of the records.")
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice([outcome.value for outcome in Outcome]),
    help="Only records with this outcome. Repeatable.",
)
@click.option("--partition", type=click.Choice(PARTITIONS), help="Parquet: a folder with files by host or date.")
@click.option("--table", metavar="NAME", help="SQLite, PostgreSQL: the table's name.  [default: records, or the type of item]")
def command(home: str, form: str | None, output: str, overwrite: bool, outcomes: tuple[str, ...], **options: str | None) -> Exit:
    """Write what the crawl in the folder HOME has brought so far: records, items, archive, text."""
    wanted = {name: value for name, value in options.items() if name in OPTIONS and value is not None}
    parsed = parse_output(output, form=form, options=wanted)
    _check(parsed, outcomes)
    _refuse_home(parsed, home)
    reader = open_reader(Path(home))
    try:
        check_kept(parsed, reader.job(), home)
        source = source_of(reader, outcomes)
        if parsed.target == STANDARD_OUTPUT:
            _to_standard_output(parsed, source)
            return Exit.FINISHED
        check_target(parsed, overwrite=overwrite)
        count = write(parsed, source)
    finally:
        reader.close()
    click.echo(f"{plural(count, parsed.things)} written to {without_password(parsed.target)}", err=True)
    return Exit.FINISHED


def _check(output: Output, outcomes: tuple[str, ...]) -> None:
    if outcomes and not output.format.outcomes:
        raise UsageError(f"--outcome chooses records; {output.format.name} is made of more than these: leave it out")
    if outcomes and "items" in output.options:
        raise UsageError("--outcome chooses records, and --items writes none: leave one out")
    if output.target == STANDARD_OUTPUT and "form" not in output.format.options:
        raise UsageError(f"{output.format.name} cannot be written to standard output; name a file or folder with --output")
    if output.target == STANDARD_OUTPUT and sys.stdout is None:
        raise UsageError("standard output is closed; name a file with --output")


def _refuse_home(output: Output, home: str) -> None:
    """Raise UsageError for a target in the crawl's home: what is there must not be replaced, and a later --fresh deletes it."""
    if output.is_local and Path(home).resolve() in (target := Path(output.target).resolve(), *target.parents):
        raise UsageError(f"--output {output.target}: lies in the crawl's home; choose another folder")


def check_kept(output: Output, job: Job, home: str) -> None:
    """Raise UsageError when the crawl did not keep what the output is made of."""
    for need in output.format.needs:
        key, value = NEEDS[need]
        if setting(job.settings, key) != value:
            raise UsageError(
                f"{output.format.name} cannot be made: the crawl in {home} was begun without {assigned(key, value)};"
                f" crawl again with that setting, or with 'crawl run -o {without_password(output.given)}', which sets it"
            )


def _to_standard_output(output: Output, source: Source) -> None:
    stream = sys.stdout.buffer
    send_lines(source, stream.write, form=output.format.name, items=output.options.get("items"))
    stream.flush()
