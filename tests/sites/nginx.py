"""A private nginx on loopback that serves one folder and logs each request; it needs no root and touches nothing of the system's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

CONFIG = """
{user}
daemon off;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    include {mime_types};
    default_type application/octet-stream;
    log_format crawl '$msec $request_time $status $request_method $request_uri $http_host $sent_http_content_type';
    access_log {prefix}/access.log crawl;
    sendfile on;
    keepalive_timeout 60s;
    keepalive_requests 1000000;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ root {docroot}; index index.html; autoindex off; }}
        {server}
    }}
}}
"""
MIME_TYPES = Path("/etc/nginx/mime.types")


class Request(NamedTuple):
    """One line of the access log; `ended` is in seconds since the epoch, `took` in seconds."""

    ended: float
    took: float
    status: int
    method: str
    uri: str
    host: str
    content_type: str


class Nginx:
    """A running nginx. `url` ends with a slash, `log` is its access log; `server` are further directives for its one server."""

    def __init__(self, docroot: Path, prefix: Path, server: str = "") -> None:
        self.prefix = prefix
        self.log = prefix / "access.log"
        self._process, self.port = _start(docroot, prefix, server)
        self.url = f"http://127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        return self._process.pid

    def requests(self) -> list[Request]:
        """Return every request answered so far, in the order of their ends."""
        return [_read_line(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def stop(self) -> None:
        """Stop the master by its pid and wait until it is gone."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)


def nginx_program() -> str | None:
    """Return nginx's path, also where /usr/sbin is not in PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _read_line(line: str) -> Request:
    ended, took, status, method, uri, host, content_type = line.split(" ", 6)
    return Request(float(ended), float(took), int(status), method, uri, host, content_type)


def _start(docroot: Path, prefix: Path, server: str) -> tuple[subprocess.Popen[bytes], int]:
    program = nginx_program()
    if program is None:
        raise FileNotFoundError("nginx is not installed: apt-get install nginx-light")
    prefix.mkdir(parents=True, exist_ok=True)
    for _ in range(5):
        port = free_port()
        config = prefix / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""  # root's worker must reach the files of a private folder
        text = CONFIG.format(prefix=prefix, port=port, docroot=docroot, user=user, mime_types=MIME_TYPES, server=server)
        config.write_text(text, encoding="utf-8")
        process = subprocess.Popen(
            [program, "-p", str(prefix), "-c", str(config), "-e", str(prefix / "error.log")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if accepts(process, port):
            return process, port
    raise RuntimeError(f"nginx does not start: {(prefix / 'error.log').read_text(encoding='utf-8')}")


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until a server takes connections on `port`; one that does not within ten seconds is ended."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    if process.poll() is None:
        process.kill()
    process.wait()
    return False
