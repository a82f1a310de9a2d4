"""What a person at a terminal sees: a pseudo-terminal in place of theirs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from conftest import CRAWL, Finished, Site, environment

CONTROL_C = b"\x03"
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # Ctrl-C goes to those whose terminal it is
os.execv(sys.argv[1], sys.argv[1:])
"""
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07)")


def type_at(
    folder: Path, *arguments: object, keys: list[tuple[float, bytes]] | None = None, env: dict[str, str] | None = None
) -> tuple[Finished, str]:
    """Run a command on a terminal of 100 by 30; press `keys` at their times (seconds). Return it, and all the terminal got."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL, *CRAWL, *map(str, arguments)],
        cwd=folder,
        env=environment(folder) | {"TERM": "xterm-256color"} | (env or {}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    began, got, pending = time.monotonic(), b"", list(keys or [])
    try:
        while time.monotonic() - began < 60:
            if pending and time.monotonic() - began >= pending[0][0]:
                os.write(ours, pending.pop(0)[1])
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    got += os.read(ours, 65536)
                except OSError:  # the other end was closed
                    break
        code = process.wait(10)
    finally:
        process.kill()
        os.close(ours)
    text = got.decode("utf-8", "replace")
    return Finished(code, "", _SEQUENCE.sub("", text).replace("\r", "")), text


def test_the_live_view_comes_and_goes(site: Site, tmp_path: Path) -> None:
    server = site("generated", "--pages", 60, "--latency", 0.05)
    done, raw = type_at(tmp_path, "run", server.url, "--delay", "0.02", "--dir", "home")
    assert done.code == 0, done
    for part in (
        "pages/s",
        "in flight",
        "queued",
        "slowest hosts:",
        "reactor lag",
        "Finished in",
        "home/records.jsonl",
        "crawl export home",
    ):
        assert part in done.stderr
    assert raw.count("reactor lag") > 4, "it moves"
    assert raw.rindex("\x1b[?25h") > raw.rindex("\x1b[?25l"), "the cursor is back"
    after = _SEQUENCE.sub("", raw[raw.rindex("Finished in") :])
    assert "reactor lag" not in after
    assert '{"event"' not in raw


def test_no_color_and_json_are_honoured(site: Site, tmp_path: Path) -> None:
    server = site("generated", "--pages", 30, "--latency", 0.05)
    done, raw = type_at(tmp_path, "run", server.url, "--delay", "0", "--dir", "a", env={"NO_COLOR": "1"})
    assert done.code == 0, done
    assert "reactor lag" in raw
    assert not re.search(r"\x1b\[3[0-7]m", raw)
    done, raw = type_at(tmp_path, "run", server.url, "--delay", "0", "--dir", "b", "--json")
    assert done.code == 0, done
    assert "\x1b" not in raw
    assert all(line.startswith("{") for line in done.stderr.splitlines())


def test_control_c_drains_and_a_second_one_stops_at_once(site: Site, tmp_path: Path) -> None:
    server = site("generated", "--pages", 400, "--latency", 2)
    arguments = ("run", server.url, "--dir", "home", "--no-robots", "--delay", "0", "--stop-timeout", "30")
    began = time.monotonic()
    done, raw = type_at(tmp_path, *arguments, keys=[(3.5, CONTROL_C), (4.0, CONTROL_C)])
    assert done.code == 11, done
    assert time.monotonic() - began < 6
    assert "Ctrl-C again stops at once" in done.stderr
    assert "Stopping at once." in done.stderr
    assert "Interrupted after" in done.stderr
    assert "Traceback" not in done.stderr
    assert raw.rindex("\x1b[?25h") > raw.rindex("\x1b[?25l"), "the cursor is back"


def test_a_stream_on_the_same_terminal_is_not_written_over(site: Site, tmp_path: Path) -> None:
    server = site("generated", "--pages", 10)
    done, raw = type_at(tmp_path, "run", server.url, "--delay", "0", "--dir", "home", "-o", "-")
    assert done.code == 0, done
    assert sum(line.startswith('{"url":') for line in done.stderr.splitlines()) == 10
    assert "reactor lag" not in raw
