"""The command line: one file a command, loaded when it is called; the only place that prints or exits.

Data goes to standard output, everything else to standard error. `main` alone turns errors into messages and exit codes.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from keyword import iskeyword
from typing import Final, NoReturn

import click

from crawler import __version__
from crawler.errors import CrawlError, Exit

COMMANDS: Final = {
    "run": "Crawl a site, do a job file, or go on with what was interrupted.",
    "batch": "Fetch a fixed list of URLs, the answers in the order of the list.",
    "try": "Show what a job's rules take from one page.",
    "shell": "Open a prompt with a page at hand, to try selectors.",
    "demo": "Crawl a small site served by the program itself.",
    "status": "Show how a crawl stands, also while it runs.",
    "why": "Say why a URL was fetched, refused, or never seen.",
    "job": "Write, check and describe job files: what one crawl is to do.",
    "report": "Sum up a crawl: broken links, redirects, copies, slow pages, plots.",
    "check": "Check a site for broken links.",
    "export": "Write what a crawl has brought in another form: tables, archives, text.",
    "config": "Show and check settings.",
    "completion": "Print the completion script of a shell.",
}
"""Every command with its short help; ``crawler.cli.<command>`` defines it under the name ``command``, unless `MODULES` says otherwise."""
MODULES: Final = {"report": "reporting"}
"""Commands whose module has another name; those that are words of Python's own have an underscore after it (``try_``)."""


class Commands(click.Group):
    """Commands that are imported when they are called: ``crawl --help`` stays instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command, or None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = MODULES.get(cmd_name, f"{cmd_name}{'_' * iskeyword(cmd_name)}")
        command: click.Command = importlib.import_module(f"crawler.cli.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


EPILOG: Final = "Begin with 'crawl demo', then 'crawl run https://example.com/'. 'crawl COMMAND --help' tells the rest."


@click.command(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="crawl", message="%(prog)s %(version)s")
def crawl() -> None:
    """Crawl web sites: politely, each URL exactly once, whatever happens to the process."""


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    _open_standard_files()
    _end_on_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character gets a question mark
    code = execute(sys.argv[1:])
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
    sys.exit(code)


def _open_standard_files() -> None:
    """Take the places of closed standard files, lest a file of the crawl becomes somebody's standard error."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def _end_on_signals() -> None:
    """Let SIGTERM and a closed terminal end a command as Ctrl-C does, until a reactor takes over: tidily, with our exit code.

    Process 1 of a container would not even notice SIGTERM otherwise. What was ignored (nohup) stays ignored.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def execute(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; whatever goes wrong becomes one message on standard error."""
    try:
        return int(crawl.main(list(arguments), prog_name="crawl", standalone_mode=False) or Exit.FINISHED)
    except CrawlError as error:
        return complain(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return Exit.USAGE
    except click.ClickException as error:
        return complain(_usage_message(error), Exit.USAGE)
    except (click.Abort, KeyboardInterrupt):
        return complain("interrupted", Exit.INTERRUPTED)
    except BrokenPipeError:  # the reader of standard output has what it wanted
        silence_stdout()
        return Exit.FINISHED
    except Exception as error:
        return _unexpected(error, arguments)


def complain(message: str, code: Exit) -> Exit:
    """Write a message to standard error and return `code`."""
    from crawler.cli import report

    with contextlib.suppress(OSError):  # a terminal that is gone, a full disk
        report.complain(message)
    return code


def _usage_message(error: click.ClickException) -> str:
    """Return click's complaint on one line, with the command and the option it is about."""
    context = getattr(error, "ctx", None)
    if isinstance(error, click.NoSuchOption) and context is not None and error.possibilities:
        hidden = {name for option in context.command.params if getattr(option, "hidden", False) for name in option.opts}
        shown = [name for name in error.possibilities if name not in hidden]
        error = click.NoSuchOption(error.option_name, possibilities=shown, ctx=context)
    text = " ".join(error.format_message().split())
    command = context.command_path if context is not None else "crawl"
    return f"{text} See '{command} --help'" if text.endswith("?") else f"{text.rstrip('.')}; see '{command} --help'"


def _unexpected(error: Exception, arguments: Sequence[str]) -> int:
    verbose = any(argument.startswith("-vv") for argument in arguments) or list(arguments).count("-v") > 1
    if verbose:
        import traceback

        traceback.print_exception(error)
    if (refusal := _refusal_of_machine(error)) is not None:
        return complain(refusal, Exit.UNAVAILABLE)
    if verbose:
        return complain(f"internal error: {_describe(error)}", Exit.FAULT)
    return complain(f"internal error: {_describe(error)}; run again with -vv for the traceback", Exit.FAULT)


def _refusal_of_machine(error: Exception) -> str | None:
    """Return what to tell of an error by which a disk, a file or a limit refuses service; None for a fault of ours."""
    if isinstance(error, OSError):
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else "a file or standard output"
        return f"{name}: {error.strerror or error}; remedy that and run the same command again"
    if type(error).__module__ == "sqlite3":  # not imported for every command
        return f"the database of the crawl's home: {error}; free some space, or if it is damaged start over with another --dir"
    return None


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def silence_stdout() -> None:
    """Point standard output at nothing, so that no later flush complains about the closed pipe."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
