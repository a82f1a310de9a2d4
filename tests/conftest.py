"""What tests share: private web servers on loopback, and the command line run as its users run it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sites.nginx import Nginx, nginx_program
from sites.process import SiteProcess

import crawler

SITES = Path(__file__).parent / "sites"
CRAWL = [sys.executable, "-m", "crawler.cli"]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in two to four processes; chosen files in this one, where they begin at once and can be watched (`-s`)."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return min(max(2, len(os.sched_getaffinity(0))), 4) if whole else 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes, begin with what wants to be alone, while nobody waits; then what takes long, so that the end is even."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("alone", "slow")])


@pytest.fixture(autouse=True)
def _turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test marked `alone` begins when the other processes' tests have ended, and none of theirs begins before it has."""
    if not hasattr(request.config, "workerinput"):
        yield
        return
    folder = request.getfixturevalue("tmp_path_factory").getbasetemp().parent  # which the processes share
    alone = request.node.get_closest_marker("alone") is not None
    with (folder / "room").open("a") as room:
        with (folder / "door").open("a") as door:  # whoever waits for the room holds the door: nobody overtakes
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def lacking(what: str, package: str) -> None:
    """Skip the test, naming the package to install; under CI nothing may be lacking and the test fails."""
    message = f"{what} is missing: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def documentation() -> Documentation:
    """Return a function that gives the folder of an installed documentation package, or skips."""

    def find(folder: str, package: str) -> Path:
        path = Path("/usr/share/doc") / folder
        if not (path / "index.html").is_file():
            lacking(str(path / "index.html"), package)
        return path

    return find


@pytest.fixture
def nginx_site(tmp_path: Path) -> Iterator[NginxSite]:
    """Return a function that serves a folder with a private nginx until the test ends."""
    with contextlib.ExitStack() as stack:
        count = iter(range(100))

        def start(docroot: Path) -> Nginx:
            if nginx_program() is None:
                lacking("nginx", "nginx-light")
            nginx = Nginx(docroot, tmp_path / f"nginx-{next(count)}")
            stack.callback(nginx.stop)
            return nginx

        yield start


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return a function that starts a server of tests/sites: ``site("generated", "--pages", 100)``."""
    with contextlib.ExitStack() as stack:
        count = iter(range(100))

        def start(name: str, *options: object) -> SiteProcess:
            process = SiteProcess(SITES / f"{name}.py", tmp_path / f"{name}-{next(count)}.log", *options)
            stack.callback(process.stop)
            return process

        yield start


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB of its own, which only root can mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "crawl-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own needs the right to mount one: run the tests as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Finished:
    """What a command left behind: its exit code, standard output and standard error."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code, self.stdout, self.stderr = code, stdout, stderr

    def __repr__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.stdout[-2000:]}\n--- stderr\n{self.stderr[-4000:]}"

    @property
    def error_lines(self) -> list[str]:
        """The lines of standard error that are not progress (JSON lines)."""
        return [line for line in self.stderr.splitlines() if line.strip() and not line.startswith("{")]


def environment(home: Path) -> dict[str, str]:
    """Return an environment without settings of the tester's own, with `home` as the user's home; it finds the `crawler` under test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CRAWL_") and name != "XDG_CONFIG_HOME"}
    return kept | {"HOME": str(home), "PYTHONPATH": str(Path(crawler.__file__).parent.parent)}


def run_crawl(
    folder: Path, *arguments: object, timeout: float = 120, env: dict[str, str] | None = None, cwd: Path | None = None
) -> Finished:
    """Run ``crawl`` to its end, in `folder`, which is the user's home, too."""
    done = subprocess.run(
        [*CRAWL, *map(str, arguments)],
        env=environment(folder) | (env or {}),
        cwd=cwd or folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


@pytest.fixture
def crawl(tmp_path: Path) -> Crawl:
    """Return a function that runs ``crawl`` to its end, in `tmp_path`: ``crawl("run", url, "--dir", home, timeout=60)``."""
    return partial(run_crawl, tmp_path)


class Running:
    """A ``crawl`` in the background; what it writes is read all the time, so that it never blocks on a pipe."""

    def __init__(self, arguments: list[str], env: dict[str, str], cwd: Path) -> None:
        self._process = subprocess.Popen(
            [*CRAWL, *arguments], env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._texts: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        self._readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._texts]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        with getattr(self._process, name) as stream:
            self._texts[name].extend(iter(lambda: stream.read1(65536), b""))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def children(self) -> list[int]:
        """Return the pids of the direct children (the parse workers), as the kernel lists them."""
        found: list[int] = []
        for task in Path(f"/proc/{self.pid}/task").glob("*"):
            with contextlib.suppress(OSError):
                found += [int(pid) for pid in (task / "children").read_text().split()]
        return found

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> Finished:
        """Kill with SIGKILL, as a power cut would, and wait."""
        self._process.kill()
        return self.wait(30)

    def wait(self, timeout: float = 120) -> Finished:
        """Wait for the end; raises subprocess.TimeoutExpired after `timeout` seconds."""
        code = self._process.wait(timeout)
        for reader in self._readers:
            reader.join(10)  # a worker that outlives the crawl would hold the pipe: give up then
        texts = {name: b"".join(list(chunks)).decode("utf-8", "replace") for name, chunks in self._texts.items()}
        return Finished(code, texts["stdout"], texts["stderr"])

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self.wait(30)


@pytest.fixture
def spawn_crawl(tmp_path: Path) -> Iterator[Spawn]:
    """Return a function that starts ``crawl`` in the background; what still runs at the test's end is killed by its pid."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: object, env: dict[str, str] | None = None) -> Running:
            running = Running([str(argument) for argument in arguments], environment(tmp_path) | (env or {}), tmp_path)
            stack.callback(running.stop)
            return running

        yield start


@pytest.fixture
def read_records() -> Read:
    """Return a function that reads a JSONL file; a torn or invalid line fails the test."""

    def read(path: Path) -> list[dict[str, Any]]:
        text = path.read_text(encoding="utf-8")
        assert not text or text.endswith("\n"), f"the last line of {path} is torn"
        return [json.loads(line) for line in text.split("\n")[:-1]]  # not splitlines: titles may hold U+2028

    return read


Site = Callable[..., SiteProcess]
Crawl = Callable[..., Finished]
Spawn = Callable[..., Running]
Read = Callable[[Path], list[dict[str, Any]]]
Documentation = Callable[[str, str], Path]
NginxSite = Callable[[Path], Nginx]
