"""``crawl shell``: a prompt with a page at hand."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from crawler.cli.one_page import get_page, page_sections
from crawler.cli.options import SectionedCommand, given_settings
from crawler.cli.report import Quiet
from crawler.cli.run import load_settings
from crawler.errors import Exit

EPILOG = (
    'At the prompt: page, css("h1::text"), xpath("//h1"), links(), view(…), and help_me() for the rest. With ptpython installed '
    "(pip install 'crawl[shell]') it completes as you type. The exit code is 12 when the page cannot be fetched."
)


@click.command(
    cls=SectionedCommand,
    sections=page_sections(click.Option(["-c", "code"], metavar="CODE", help="Print the value of one expression and leave.")),
    epilog=EPILOG,
    options_metavar="[OPTIONS]",
)
@click.argument("target", metavar="[URL|FILE]", required=False)
@click.pass_context
def command(ctx: click.Context, /, target: str | None, **_options: Any) -> Exit:
    """Fetch one page and open a Python prompt with it, to try selectors."""
    from crawler.cli.programs import attend_program

    options = ctx.params
    settings = load_settings(options["config_file"], given_settings(ctx))
    page = get_page(target, options["html"], options["url"], settings, Quiet())
    import msgspec

    about = msgspec.json.encode({"url": page.url, "content_type": page.content_type, "status": page.status})
    with tempfile.TemporaryDirectory(prefix="crawl-shell-") as name:
        folder = Path(name)
        (folder / "page.html").write_bytes(page.body)
        (folder / "page.json").write_bytes(about)
        sys.stdout.flush()
        code = attend_program("shell", name, *([options["code"]] if options["code"] is not None else []))
    return Exit.USAGE if code else Exit.FINISHED
