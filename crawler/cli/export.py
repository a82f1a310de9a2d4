"""``crawl export``: a crawl's records as JSON lines or CSV, also while it runs."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import click

from crawler.cli.files import give_usual_mode, refuse_unwritable
from crawler.cli.quantities import plural
from crawler.errors import Exit, StoreError, UsageError
from crawler.model import Outcome, Record
from crawler.shards.reader import open_reader
from crawler.store.outputs import FORMATS, encoder, format_of

_BATCH: Final = 1_000  # records encoded at once


@click.command()
@click.argument("home", type=click.Path())
@click.option("--format", "form", type=click.Choice(FORMATS), help="[default: what the output's extension says, else jsonl]")
@click.option("-o", "--output", default="-", metavar="PATH", show_default=True, help="A file; '-' is standard output.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice([outcome.value for outcome in Outcome]),
    help="Only records with this outcome. Repeatable.",
)
def command(home: str, form: str | None, output: str, overwrite: bool, outcomes: tuple[str, ...]) -> Exit:
    """Write the records of the crawl in the folder HOME."""
    encoding = encoder(form or format_of(output))
    reader = open_reader(Path(home))
    try:
        records = (record for record in reader.records() if not outcomes or record.outcome in outcomes)
        if output == "-" and sys.stdout is None:
            raise UsageError("standard output is closed; name a file with --output")
        if output == "-":
            sys.stdout.buffer.write(encoding.header)
            _write(records, encoding.encode, sys.stdout.buffer.write)
            sys.stdout.buffer.flush()
            return Exit.FINISHED
        with replacing(Path(output), overwrite=overwrite) as write:
            write(encoding.header)
            count = _write(records, encoding.encode, write)
    finally:
        reader.close()
    click.echo(f"{plural(count, 'record')} written to {output}", err=True)
    return Exit.FINISHED


def _write(records: Iterator[Record], encode: Callable[[list[Record]], bytes], write: Callable[[bytes], object]) -> int:
    count = 0
    while batch := list(islice(records, _BATCH)):
        write(encode(batch))
        count += len(batch)
    return count


@contextlib.contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[Callable[[bytes], object]]:
    """Give a function that writes to a new file, which takes its name `path` only when all of it is on the disk.

    Raises UsageError when `path` exists and may not be replaced or has no folder, StoreError when the disk does not take it.
    """
    refuse_unwritable(path, overwrite=overwrite)
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile(dir=path.absolute().parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            yield file.write
            file.flush()
            os.fsync(file.fileno())
            give_usual_mode(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        _remove(temporary)
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
    except BaseException:
        _remove(temporary)
        raise


def _remove(temporary: str) -> None:
    if temporary:
        Path(temporary).unlink(missing_ok=True)
