"""Programs of `crawler.offline`, started by commands: what loads a parser, or the user's code, runs in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import crawler
from crawler.errors import CrawlError


def run_program(name: str, data: bytes, *, timeout: float | None = None) -> bytes:
    """Give `data` to ``crawler.offline.<name>`` and return what it answers; its standard error is ours. `timeout` in seconds.

    Raises CrawlError when it fails or takes longer; it is ended then.
    """
    try:
        done = subprocess.run(command_of(name), input=data, stdout=subprocess.PIPE, env=environment(), timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise CrawlError(f"{name.replace('_', ' ')}: took more than {timeout:g} s and was ended") from error
    if done.returncode:
        died = f"died with signal {-done.returncode}" if done.returncode < 0 else f"exited with status {done.returncode}"
        raise CrawlError(f"{name.replace('_', ' ')}: {died}")
    return done.stdout


def attend_program(name: str, *arguments: str) -> int:
    """Let ``crawler.offline.<name>`` have the terminal until it ends; Ctrl-C is its alone. Return its exit status."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.run([*command_of(name), *arguments], env=environment(), check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def command_of(name: str) -> list[str]:
    """Return the command line; -P keeps the current directory out of the import path."""
    return [sys.executable, "-P", "-m", f"crawler.offline.{name}"]


def environment() -> dict[str, str]:
    """Return our environment, and where this very package is when it is not installed."""
    variables = dict(os.environ)
    home = Path(crawler.__file__).resolve().parent.parent
    if home.name not in ("site-packages", "dist-packages"):
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), variables.get("PYTHONPATH", "")]))
    return variables
