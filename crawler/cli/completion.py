"""``crawl completion``: the script that makes a shell complete our commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from crawler.errors import Exit

SHELLS: Final = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, /, shell: str) -> Exit:
    """Print the completion script of SHELL. For bash: crawl completion bash > ~/.local/share/bash-completion/completions/crawl."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "crawl", "_CRAWL_COMPLETE").source())
    return Exit.FINISHED
