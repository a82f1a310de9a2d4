"""nginx, Apache httpd and Python's http.server on loopback, plain and over TLS, serving one folder: for our client to agree with."""

from __future__ import annotations

import datetime
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from sites.nginx import MIME_TYPES, free_port, nginx_program

HOST = "named.test"
MODULES = Path("/usr/lib/apache2/modules")
KEPT_REQUESTS = 20
"""Requests after which nginx and Apache close a connection."""

NGINX = """
{user}
daemon off;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    include {mime_types};
    log_format test '$connection $connection_requests $request_method $uri $status';
    access_log {prefix}/access.log test;
    keepalive_timeout 1s;
    keepalive_requests {kept};
    client_max_body_size 10m;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    gzip on;
    gzip_types text/plain;
    gzip_http_version 1.0;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        location / {{ root {folder}; }}
        location /moved {{ return 301 /small.txt; }}
        location /echo {{ client_body_buffer_size 4m; proxy_pass http://127.0.0.1:{port}/taken; }}
        location /taken {{ return 200 "taken $request_method $content_length"; }}
        location /nothing {{ return 204; }}
    }}
}}
"""

APACHE = """
ServerName named.test
ServerRoot {prefix}
PidFile {prefix}/apache.pid
DefaultRuntimeDir {prefix}
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{tls_port}
{modules}
{user}
Mutex file:{prefix}
ErrorLog {prefix}/error.log
LogFormat "%{{c}}p:%{{remote}}p %k %m %U %>s" test
CustomLog {prefix}/access.log test
TypesConfig /dev/null
AddType text/plain .txt
StartServers 1
MinSpareThreads 5
MaxSpareThreads 10
ThreadsPerChild 10
MaxRequestWorkers 20
Timeout 10
KeepAlive On
KeepAliveTimeout 1
MaxKeepAliveRequests {kept}
DocumentRoot {folder}
<Directory {folder}>
    Options +ExecCGI
    Require all granted
    AllowOverride None
</Directory>
<Directory {cgi}>
    Require all granted
</Directory>
AddOutputFilterByType DEFLATE text/plain
ScriptAlias /echo {cgi}/echo
ScriptSock {prefix}/cgid.sock
RedirectMatch 301 ^/moved$ /small.txt
RedirectMatch 204 ^/nothing$
<VirtualHost 127.0.0.1:{tls_port}>
    ServerName named.test
    SSLEngine on
    SSLCertificateFile {certificate}
    SSLCertificateKeyFile {key}
</VirtualHost>
"""
APACHE_MODULES = "mpm_event authz_core alias mime dir deflate filter cgid ssl socache_shmcb"
ECHO = """#!/bin/sh
body=$(mktemp) && cat >"$body"
printf "Content-Type: application/octet-stream\\r\\n\\r\\ntaken %s %s " "$REQUEST_METHOD" "$CONTENT_LENGTH"
cat "$body"
rm "$body"
"""
"""Reads all before it writes: Apache does not read while it writes."""

PYTHON = """
import itertools, os, ssl, sys, threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

numbers = itertools.count()

class Handler(SimpleHTTPRequestHandler):
    protocol_version = sys.argv[1]
    timeout = 1.0
    count = 0

    def setup(self):
        super().setup()
        self.number = next(numbers)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = b"taken %s %d " % (self.command.encode(), len(body)) + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_request(self, code="-", size="-"):
        self.count += 1
        code = getattr(code, "value", code)
        print(self.number, self.count, self.command, self.path, code, flush=True)

    def log_error(self, *_):
        pass

os.chdir(sys.argv[2])
for port, secure in ((int(sys.argv[3]), False), (int(sys.argv[4]), True)):
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[5], sys.argv[6])
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever).start()
"""


class Certificates:
    """An authority of the test's own, and the files of a server's certificate for `HOST`."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.certificate, self.key = folder / "authority.pem", folder / "server.pem", folder / "server.key"
        keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test authority")])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
        begin = datetime.datetime(2020, 1, 1)
        for path, name, key, extension in [
            (self.authority, issuer, keys[0], x509.BasicConstraints(True, None)),
            (self.certificate, subject, keys[1], x509.SubjectAlternativeName([x509.DNSName(HOST)])),
        ]:
            builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
            builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin)
            builder = builder.not_valid_after(begin + datetime.timedelta(days=36500)).add_extension(extension, critical=False)
            path.write_bytes(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.key.write_bytes(keys[1].private_bytes(*plain))

    def pyopenssl(self) -> SSL.Context:
        """Return a client's context that trusts the authority, for our agent."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.load_verify_locations(str(self.authority))
        return context

    def standard(self) -> ssl.SSLContext:
        """Return one for the clients of the standard library."""
        return ssl.create_default_context(cafile=str(self.authority))


def apache_program() -> str | None:
    """Return Apache's path, also where /usr/sbin is not in PATH."""
    return shutil.which("apache2") or shutil.which("apache2", path="/usr/sbin")


class Server:
    """A running server; `port` speaks HTTP, `tls_port` HTTPS. Each line of its log begins with what names a connection.

    `folder` and `prefix` must be readable for all: Apache's children are not root's.
    """

    def __init__(self, name: str, folder: Path, prefix: Path, certificates: Certificates) -> None:
        prefix.mkdir()
        self.name = name
        self.log = prefix / "access.log"
        self.log.touch()
        self._prefix, self._folder, self._certificates = prefix, folder, certificates
        start: Callable[[], list[str]] = {"nginx": self._nginx, "apache": self._apache}.get(name, self._python)
        for _ in range(5):
            self.port, self.tls_port = free_port(), free_port()
            with (self.log if name.startswith("python") else prefix / "output").open("wb") as output:
                command = start()
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            if self._answers():
                return
            self.stop()
        raise RuntimeError(f"{name} does not start: {''.join(path.read_text() for path in prefix.glob('[eo]*'))}")

    def _values(self) -> dict[str, object]:
        one = self._certificates
        paths = {"prefix": self._prefix, "folder": self._folder, "certificate": one.certificate, "key": one.key}
        return paths | {"port": self.port, "tls_port": self.tls_port, "kept": KEPT_REQUESTS}

    def _nginx(self) -> list[str]:
        user = "user root;" if os.geteuid() == 0 else ""  # root's worker must reach the files of a private folder
        config = self._prefix / "nginx.conf"
        config.write_text(NGINX.format(**self._values(), user=user, mime_types=MIME_TYPES))
        program = nginx_program()
        assert program is not None
        return [program, "-p", str(self._prefix), "-c", str(config), "-e", str(self._prefix / "error.log")]

    def _apache(self) -> list[str]:
        cgi = self._prefix / "cgi"
        cgi.mkdir(exist_ok=True)
        (cgi / "echo").write_text(ECHO)
        (cgi / "echo").chmod(0o755)
        modules = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in APACHE_MODULES.split())
        user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        config = self._prefix / "apache.conf"
        config.write_text(APACHE.format(**self._values(), modules=modules, user=user, cgi=cgi))
        program = apache_program()
        assert program is not None
        return [program, "-f", str(config), "-D", "FOREGROUND"]

    def _python(self) -> list[str]:
        version = "HTTP/1.0" if self.name.endswith("1.0") else "HTTP/1.1"
        one = self._certificates
        arguments = [version, self._folder, self.port, self.tls_port, one.certificate, one.key]
        return [sys.executable, "-c", PYTHON, *map(str, arguments)]

    def _answers(self) -> bool:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                for port in (self.port, self.tls_port):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return True
        return False

    def lines(self, count: int) -> list[list[str]]:
        """Return the log's lines, each split: connection, its requests so far, method, path, status; once there are `count` of them."""
        deadline = time.monotonic() + 5
        while len(lines := self.log.read_text().splitlines()) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        return [line.split() for line in lines]

    def stop(self) -> None:
        """Stop the server by its pid and wait until it is gone."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL if self.name.startswith("python") else signal.SIGTERM)
        self._process.wait(10)
