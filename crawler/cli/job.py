"""``crawl job``: job files - a new one, whether one is right, and their JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crawler.cli.quantities import plural
from crawler.errors import Exit, UsageError

if TYPE_CHECKING:
    from crawler.jobfile.read import JobFile


@click.group()
def command() -> None:
    """Write, check and describe job files.

    A job file says what one crawl is to do: where it begins, what belongs to it, what is taken from pages and what is written. It is TOML,
    or JSON of the same shape. 'crawl run --job FILE' does it; docs/jobs.md tells all.
    """


@command.command(short_help="Name every mistake in a job file.")
@click.argument("file", type=click.Path())
def check(file: str) -> Exit:
    """Read FILE as a job file and name every mistake in it, by line and key; nothing is fetched and no secret is read.

    Exit code 0: there is none; 4: there are.
    """
    from crawler.cli.job_files import load_job_file

    click.echo(f"{file}: good: {_contents(load_job_file(file))}")
    return Exit.FINISHED


def _contents(job: JobFile) -> str:
    from crawler.jobfile.seeds import STANDARD_INPUT

    parts = [plural(len(job.seeds), "seed")]
    if job.seeds_from_stdin:
        parts.append(f"more seeds from standard input (seeds_file is {STANDARD_INPUT!r})")
    elif not job.seeds:
        parts[0] += " (name URLs when it is run)"
    rules = job.extraction
    if rules is not None:
        parts += [plural(len(rules.items), "item type")] if rules.items else []
        parts += [plural(len(rules.follow), "follow rule")] if rules.follow else []
        parts += ["a hook"] if rules.hook else []
    parts += [plural(len(job.values), "setting")] if job.values else []
    return ", ".join([*parts, plural(len(job.outputs), "output")])


@command.command(short_help="Write a commented job file to begin with.")
@click.argument("file", type=click.Path(), default="job.toml", required=False)
def new(file: str) -> Exit:
    """Write a job file to begin with, its parts explained, to FILE (job.toml). Nothing that exists is replaced."""
    from importlib.resources import files

    if not file.endswith(".toml"):
        raise UsageError(f"{file}: the job to begin with is TOML; give a name that ends in .toml")
    text = files("crawler.jobfile").joinpath("starter.toml").read_text(encoding="utf-8").format(name=file)
    try:
        with Path(file).open("x", encoding="utf-8") as new_file:
            new_file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{file}: exists already; choose another name, as in: crawl job new other.toml") from error
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error.strerror}; choose another place") from error
    click.echo(f"Wrote {file}: put your URL into it, then 'crawl job check {file}' and 'crawl run --job {file}'.")
    return Exit.FINISHED


@command.command(short_help="Print the JSON Schema of job files, for editors.")
def schema() -> Exit:
    """Print the JSON Schema (draft 2020-12) of job files, by which editors complete and check them.

    Keep it beside your jobs: crawl job schema > crawl-job.schema.json. In TOML, editors with Taplo find it by a first line
    "#:schema crawl-job.schema.json"; in JSON by a key of the editor's settings.
    """
    import msgspec

    from crawler.jobfile.schema import job_schema

    click.echo(msgspec.json.format(msgspec.json.encode(job_schema()), indent=2).decode())
    return Exit.FINISHED
