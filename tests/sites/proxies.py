"""Real proxies from Debian's packages, each private to one test: on loopback, in the foreground, stopped by its pid."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from sites.nginx import accepts, free_port

PACKAGES = {"tinyproxy": "tinyproxy-bin", "squid": "squid", "microsocks": "microsocks", "danted": "dante-server"}
"""What a program is installed with."""

TINYPROXY = """
Port {port}
Listen 127.0.0.1
Allow 127.0.0.1
Timeout 60
LogFile "{folder}/tinyproxy.log"
{extra}
"""
SQUID = """
http_port 127.0.0.1:{port}
http_access allow all
cache deny all
cache_mem 0
access_log none
cache_log /dev/null
cache_store_log none
pid_filename none
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
coredump_dir {folder}
{extra}
"""
DANTE = """
logoutput: {folder}/dante.log
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
{extra}
user.privileged: {user}
user.unprivileged: {user}
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
"""


class RealProxy:
    """A running proxy; `address` is ``127.0.0.1:port``."""

    def __init__(self, name: str, folder: Path, *, options: Sequence[str] = (), extra: str = "") -> None:
        """Start it with further command-line `options` and with `extra` lines of configuration."""
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(5):
            port = free_port()
            command = [*_COMMANDS[name](folder, port, extra), *options]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if accepts(self._process, port):
                self.address = f"127.0.0.1:{port}"
                return
        raise RuntimeError(f"{name} does not start; what it says is in {folder}")

    def stop(self) -> None:
        """Stop it and wait until it is gone."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def program(name: str) -> str | None:
    """Return a program's path, also where /usr/sbin is not in PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def _path(name: str) -> str:
    path = program(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed: apt-get install {PACKAGES[name]}")
    return path


def _configured(folder: Path, name: str, text: str) -> str:
    file = folder / f"{name}.conf"
    file.write_text(text, encoding="utf-8")
    return str(file)


def _tinyproxy(folder: Path, port: int, extra: str) -> list[str]:
    return [_path("tinyproxy"), "-d", "-c", _configured(folder, "tinyproxy", TINYPROXY.format(port=port, folder=folder, extra=extra))]


def _squid(folder: Path, port: int, extra: str) -> list[str]:
    name = f"crawl{port}"  # of its shared memory: two with the same one would not start
    return [_path("squid"), "-N", "-n", name, "-f", _configured(folder, "squid", SQUID.format(port=port, folder=folder, extra=extra))]


def _microsocks(_folder: Path, port: int, _extra: str) -> list[str]:
    return [_path("microsocks"), "-i", "127.0.0.1", "-p", str(port)]


def _dante(folder: Path, port: int, extra: str) -> list[str]:
    user = _user()
    config = _configured(folder, "dante", DANTE.format(port=port, folder=folder, user=user, extra=extra))
    return [_path("danted"), "-f", config, "-p", str(folder / "dante.pid")]


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


_COMMANDS: dict[str, Callable[[Path, int, str], list[str]]] = {
    "tinyproxy": _tinyproxy,
    "squid": _squid,
    "microsocks": _microsocks,
    "danted": _dante,
}
