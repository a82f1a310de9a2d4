from __future__ import annotations

import subprocess
import sys

import click
import pytest

from crawler import cli
from crawler.errors import Exit, StoreError


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (StoreError("disk full"), Exit.UNAVAILABLE, "crawl: disk full\n"),
        (click.UsageError("No such thing."), Exit.USAGE, "crawl: No such thing; see 'crawl run --help'\n"),
        (KeyboardInterrupt(), Exit.INTERRUPTED, "\ncrawl: interrupted\n"),
        (ZeroDivisionError("a\nb"), Exit.FAULT, "crawl: internal error: ZeroDivisionError: a b; run again with -vv for the traceback\n"),
    ],
)
def test_every_error_is_one_line_and_an_exit_code(
    error: BaseException, code: Exit, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def broken() -> None:
        raise error

    monkeypatch.setattr(cli.Commands, "get_command", lambda *_: broken)
    assert cli.execute(["run"]) is code
    assert capsys.readouterr().err == said


def test_every_command_can_be_loaded_and_helps(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        assert cli.execute([name, "--help"]) == 0, name
        assert f"Usage: crawl {name}" in capsys.readouterr().out


def test_unknown_commands_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["fly"]) is Exit.USAGE
    assert "'fly'" in capsys.readouterr().err
    assert cli.execute([]) is Exit.USAGE
    assert "Commands:" in capsys.readouterr().err


def test_help_and_version_load_next_to_nothing() -> None:
    program = (
        "import sys; from crawler.cli import execute; execute(['--version']); execute(['--help']);"
        "print(sorted({'twisted', 'rich', 'sqlite3', 'msgspec'} & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
