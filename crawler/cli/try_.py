"""``crawl try``: what a job's extraction rules take from one page, side by side with the selectors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from crawler.cli.one_page import OnePage, get_page, page_sections
from crawler.cli.options import SectionedCommand, given_settings
from crawler.cli.report import Quiet
from crawler.cli.run import load_settings
from crawler.errors import Exit, UsageError

if TYPE_CHECKING:
    from crawler.extract.rules import Extraction

EPILOG = (
    "A required field that is missing, or a value that is not of its field's type, is listed as a fault, as it would be counted in a "
    "crawl. The exit code is 12 when the page cannot be fetched. docs/extraction.md tells what rules can say."
)


@click.command(
    cls=SectionedCommand,
    sections=page_sections(click.Option(["--json", "as_json"], is_flag=True, help="All of it as one JSON object.")),
    epilog=EPILOG,
    options_metavar="[OPTIONS]",
)
@click.argument("job", metavar="JOB")
@click.argument("target", metavar="[URL|FILE]", required=False)
@click.pass_context
def command(ctx: click.Context, /, job: str, target: str | None, **_options: Any) -> Exit:
    """Show what the rules of a job file take from one page.

    For each field: its selector, how often it matches, and the values after conversion. Then faults, and the links to be followed.
    """
    from crawler.cli.job_files import load_job_file

    job_file = load_job_file(job)
    if job_file.extraction is None:
        raise UsageError(f"{job}: has no rules to try; add a table [extract.NAME] with fields, or [[follow]]; 'crawl job new' writes some")
    options = ctx.params
    settings = load_settings(options["config_file"], given_settings(ctx), job_file)
    page = get_page(target, options["html"], options["url"], settings, Quiet())
    answer = _apply(job_file.extraction, page)
    if options["as_json"]:
        sys.stdout.buffer.write(answer + b"\n")
        return Exit.FINISHED
    from crawler.cli.try_view import show

    show(answer, page)
    return Exit.FINISHED


TRY_TIME: Final = 15.0
"""Seconds that rules and hook may take, loading included: in a crawl a page has `parse.page_time`."""


def _apply(extraction: Extraction, page: OnePage) -> bytes:
    """Return `offline.try_rules.Findings` as JSON."""
    import msgspec

    from crawler.cli.programs import run_program

    trial = {"extraction": extraction, "url": page.url, "body": page.body, "content_type": page.content_type}
    return run_program("try_rules", msgspec.json.encode(trial), timeout=TRY_TIME)
