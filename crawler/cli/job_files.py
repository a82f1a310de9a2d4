"""A job file read for a command: with all that can be said about it before anything is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crawler.jobfile.read import JobFile


def load_job_file(name: str) -> JobFile:
    """Return what a job file says. Raises InvalidConfig with every mistake in it, one a line."""
    from crawler.cli.selectors import check_selectors
    from crawler.jobfile.read import read_job_file

    return read_job_file(Path(name), output_items=_output_items, selector_problems=check_selectors)


def _output_items(name: str) -> str | None:
    from crawler.export.formats import parse_output

    return parse_output(name).options.get("items")
