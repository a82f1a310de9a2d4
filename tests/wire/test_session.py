"""Logins, cookies, site headers and validators through the whole program, judged by what a listener gets."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from conftest import Crawl, Read
from cryptography.hazmat.primitives import serialization

Fields = dict[str, list[str]]
"""The fields of a request by lower-case name."""
Reply = tuple[int, dict[str, str], str]
"""Status, fields and body."""

FAST = ("--delay", "0", "--retries", "0", "--timeout", "10", "--workers", "1")
SECRET = "correct-horse-battery"
BASIC = f"Basic {b64encode(f'ann:{SECRET}'.encode()).decode()}"


class Listener:
    """A server on loopback that keeps the fields of every request."""

    def __init__(self, reply: Callable[[str, Fields], Reply], *, address: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> None:
        seen: list[tuple[str, Fields]] = []
        self.seen = seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def do_GET(self) -> None:
                fields: Fields = {}
                for name, value in self.headers.items():
                    fields.setdefault(name.lower(), []).append(value)
                seen.append((self.path, fields))
                status, more, body = (404, {}, "") if self.path == "/robots.txt" else reply(self.path, fields)
                self.send_response(status)
                for name, value in {"Content-Type": "text/html", "Content-Length": str(len(body)), **more}.items():
                    if status != 304 or not name.startswith("Content-"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.origin = f"{'https' if context else 'http'}://{address}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def of(self, path: str) -> Fields:
        """Return the fields of the only request for `path`."""
        (fields,) = [fields for asked, fields in self.seen if asked == path]
        return fields

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


Listen = Callable[..., Listener]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Return a function that starts a listener, closed at the end of the test."""
    with contextlib.ExitStack() as stack:

        def start(reply: Callable[[str, Fields], Reply] = lambda _path, _fields: (200, {}, "<p>here"), **options: Any) -> Listener:
            listener = Listener(reply, **options)
            stack.callback(listener.close)
            return listener

        yield start


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's context with a certificate that nobody knows."""
    authority = Authority()
    file = tmp_path / "server.pem"
    key = authority.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key + authority.certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def links(*hrefs: str) -> str:
    return "".join(f'<a href="{href}">x</a>' for href in hrefs)


def members_only(path: str, fields: Fields) -> Reply:
    """Be a site whose login page sets the cookie that its other pages want."""
    if path == "/login":
        return 200, {"Set-Cookie": "sid=let-me-in; Path=/; HttpOnly"}, links("/members/1", "/members/2")
    if "sid=let-me-in" not in "".join(fields.get("cookie", [])):
        return 403, {}, ""
    return 200, {}, links("/members/3")


def outcomes(read_records: Read, home: Path) -> dict[str, str]:
    return {record["url"].split("/", 3)[3]: record["outcome"] for record in read_records(home / "records.jsonl")}


def test_with_cookies_a_login_opens_the_pages_behind_it(listen: Listen, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    site = listen(members_only)
    done = crawl("run", f"{site.origin}/login", *FAST, "--cookies", "--dir", tmp_path / "home")
    assert done.code == 0, done
    assert outcomes(read_records, tmp_path / "home") == dict.fromkeys(("login", "members/1", "members/2", "members/3"), "fetched")
    assert "cookie" not in site.of("/login")
    assert site.of("/members/1")["cookie"] == ["sid=let-me-in"]


def test_without_being_asked_no_cookie_is_kept(listen: Listen, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    site = listen(members_only)
    crawl("run", f"{site.origin}/login", *FAST, "--dir", tmp_path / "home")
    assert outcomes(read_records, tmp_path / "home") == {"login": "fetched", "members/1": "failed", "members/2": "failed"}
    assert not [fields for _, fields in site.seen if "cookie" in fields]


def test_a_file_of_cookies_opens_them_too_and_robots_txt_is_asked_for_with_them(
    listen: Listen, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    site = listen(members_only)
    (tmp_path / "cookies.txt").write_text("127.0.0.1\tFALSE\t/\tFALSE\t0\tsid\tlet-me-in\n127.0.0.2\tFALSE\t/\tFALSE\t0\tnot\there\n")
    done = crawl("run", f"{site.origin}/members/1", *FAST, "--cookie-file", "cookies.txt", "--dir", tmp_path / "home")
    assert done.code == 0, done
    assert outcomes(read_records, tmp_path / "home") == {"members/1": "fetched", "members/3": "fetched"}
    assert {tuple(fields["cookie"]) for _, fields in site.seen} == {("sid=let-me-in",)}


@pytest.mark.parametrize("command", ["run", "batch"])
def test_nothing_that_is_a_sites_goes_on_to_where_it_redirects(
    listen: Listen, crawl: Crawl, tls: ssl.SSLContext, tmp_path: Path, command: str
) -> None:
    elsewhere = {"/port": listen(), "/host": listen(address="127.0.0.2"), "/scheme": listen(context=tls)}

    def redirect(path: str, _fields: Fields) -> Reply:
        return 302, {"Location": f"{elsewhere[path].origin}/target"}, ""

    site = listen(redirect)
    (tmp_path / "cookies.txt").write_text("127.0.0.1\tFALSE\t/\tFALSE\t0\tsid\tlet-me-in\n")
    arguments = [f"{site.origin}{path}" for path in elsewhere]
    arguments += [
        "--basic",
        site.origin,
        "ann",
        "env:SITE_PASSWORD",
        "--header-for",
        site.origin,
        "X-Site: 1",
        "--cookie-file",
        "cookies.txt",
    ]
    arguments += ["--allow-address", "127.0.0.0/8", "--insecure", "127.0.0.1", *FAST]
    arguments += ["--dir", tmp_path / "home", "--scope", "any"] if command == "run" else []
    done = crawl(command, *arguments, env={"SITE_PASSWORD": SECRET})
    assert done.code == 0, done
    assert {path for path, _ in site.seen} == {"/robots.txt", *elsewhere}
    for _, fields in site.seen:
        assert (fields["authorization"], fields["x-site"], fields["cookie"]) == ([BASIC], ["1"], ["sid=let-me-in"])
    for target in elsewhere.values():
        assert {path for path, _ in target.seen} == {"/robots.txt", "/target"}
        assert not [fields for _, fields in target.seen if "authorization" in fields or "x-site" in fields]
    assert not [fields for _, fields in elsewhere["/host"].seen if "cookie" in fields]


def test_what_was_got_by_https_does_not_go_on_by_http(listen: Listen, crawl: Crawl, tls: ssl.SSLContext, tmp_path: Path) -> None:
    plain = listen()

    def reply(path: str, _fields: Fields) -> Reply:
        return (
            (302, {"Location": f"{plain.origin}/target"}, "") if path == "/away" else (200, {"Set-Cookie": "s=1; Secure"}, links("/away"))
        )

    site = listen(reply, context=tls)
    pattern = site.origin.removeprefix("https://")
    arguments = ["--bearer", pattern, "env:TOKEN", "--cookies", "--insecure", "127.0.0.1", "--allow-address", "127.0.0.1", "--scope", "any"]
    done = crawl("run", f"{site.origin}/", *arguments, *FAST, "--dir", tmp_path / "home", env={"TOKEN": SECRET})
    assert done.code == 0, done
    assert site.of("/away")["authorization"] == [f"Bearer {SECRET}"]
    assert site.of("/away")["cookie"] == ["s=1"]
    assert {path for path, _ in plain.seen} == {"/robots.txt", "/target"}
    assert not [fields for _, fields in plain.seen if "authorization" in fields or "cookie" in fields]


def test_a_header_of_all_is_replaced_for_its_site_and_sent_once(listen: Listen, crawl: Crawl) -> None:
    site, other = listen(), listen()
    headers = [
        "--header",
        "Accept-Language: en",
        "--header-for",
        site.origin,
        "accept-language: de",
        "--header-for",
        site.origin,
        "Accept: x/y",
    ]
    done = crawl("batch", f"{site.origin}/", f"{other.origin}/", *headers, *FAST)
    assert done.code == 0, done
    assert (site.of("/")["accept-language"], site.of("/")["accept"]) == (["de"], ["x/y"])
    assert other.of("/")["accept-language"] == ["en"]
    assert other.of("/")["accept"][0].startswith("text/html")


def test_secrets_are_nowhere_to_be_read_afterwards(listen: Listen, crawl: Crawl, tmp_path: Path) -> None:
    site = listen(lambda _path, fields: (200, {}, "<p>in") if fields.get("authorization") == [BASIC] else (401, {}, ""))
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "crawl.toml").write_text(
        f'[fetch.sites."{site.origin}"]\nuser = "ann"\npassword = "file:{tmp_path}/secret"\nheaders = {{ Cookie = "env:COOKIE" }}\n'
    )
    env = {"COOKIE": f"sid={SECRET}", "CRAWL_CONFIG": str(tmp_path / "crawl.toml")}
    home = tmp_path / "home"
    told = [
        crawl("run", f"{site.origin}/", *FAST, "--dir", home, "--record-headers", "--json", "-vv", env=env),
        crawl("why", home, f"{site.origin}/", env=env),
        crawl("status", home, "--json", env=env),
        crawl("export", home, env=env),
        crawl("config", "show", env=env),
        crawl("config", "show", "--json", env=env),
        crawl("config", "check", tmp_path / "crawl.toml", env=env),
    ]
    assert [done.code for done in told] == [0] * len(told), told
    assert site.of("/")["cookie"] == [f"sid={SECRET}"]
    with contextlib.closing(sqlite3.connect(home / "crawl.sqlite")) as database:
        assert "env:COOKIE" in "".join(database.iterdump())  # what is stored says where the secret is
    forms = (SECRET, BASIC.removeprefix("Basic "))
    assert not [done for done in told for form in forms if form in done.stdout + done.stderr]
    assert not [file for file in home.rglob("*") if file.is_file() for form in forms if form.encode() in file.read_bytes()]


def test_config_show_prints_sites_as_toml_that_can_be_read_again(crawl: Crawl, tmp_path: Path) -> None:
    (tmp_path / "crawl.toml").write_text('[fetch.sites."*.example.org"]\nbearer = "env:TOKEN"\nheaders = { X-A = "1" }\n')
    shown = crawl("config", "show", "--config", "crawl.toml")
    (tmp_path / "again.toml").write_text(shown.stdout)
    again = crawl("config", "show", "--config", "again.toml", "--json")
    assert json.loads(again.stdout)["fetch.sites"]["value"]["*.example.org"]["bearer"] == "env:TOKEN", again


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["--bearer", "127.0.0.1", "env:TOKEN"], 2, ["http://127.0.0.1:9/ would be asked without the credentials", "'http://127.0.0.1:9'"]),
        (["--bearer", "http://127.0.0.1:9", "env:NOT_SET"], 4, ['fetch.sites."http://127.0.0.1:9".bearer', "NOT_SET is not set"]),
        (["--bearer", "http://127.0.0.1:9", SECRET], 2, ["--bearer http://127.0.0.1:9", "env:NAME"]),
        (["--header", f"Authorization: Bearer {SECRET}"], 2, ["--header Authorization", "--bearer SITE env:NAME"]),
        (["--cookie-file", "none.txt"], 4, ["cookie file none.txt: cannot be read"]),
        (["--cookie-file", "bad.txt"], 4, ["cookie file bad.txt, line 2: "]),
    ],
)
@pytest.mark.parametrize("command", ["run", "batch"])
def test_mistakes_are_told_at_the_start(
    crawl: Crawl, tmp_path: Path, command: str, arguments: list[str], code: int, parts: list[str]
) -> None:
    (tmp_path / "bad.txt").write_text(f"# cookies\n127.0.0.1 {SECRET}\n")
    place = ["--dir", tmp_path / "home"] if command == "run" else ["-o", tmp_path / "home"]
    done = crawl(command, "http://127.0.0.1:9/", *arguments, *place, env={"TOKEN": SECRET})
    assert done.code == code, done
    assert len(done.error_lines) == 1
    for part in parts:
        assert part in done.stderr
    assert SECRET not in done.stderr + done.stdout
    assert not (tmp_path / "home").exists()


DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def unchanged(path: str, fields: Fields) -> Reply:
    """Be a site whose pages have the same entity tag, as a server's that makes them of time and size; and one with none."""
    if path == "/moved":
        return 302, {"Location": "/target"}, ""
    if path == "/liar":
        return 304, {}, ""
    if fields.get("if-none-match") == ['"v1"'] or fields.get("if-modified-since") == [DATE]:
        return 304, {"ETag": '"v1"'}, ""
    return 200, {"ETag": '"v1"', "Last-Modified": DATE}, "<title>new</title>"


def test_a_line_with_validators_is_answered_with_not_modified(listen: Listen, crawl: Crawl, tmp_path: Path) -> None:
    site = listen(unchanged)

    def line(path: str, **validators: str) -> str:
        return json.dumps({"url": f"{site.origin}{path}", **validators})

    lines = [
        line("/tag", etag='"v1"'),
        line("/date", last_modified=DATE),
        line("/changed", etag='"v0"'),
        line("/plain"),
        f"{site.origin}/tag",  # without a validator: another request
        line("/moved", etag='"v1"'),
        line("/liar"),
        line("/odd", etag="v1"),
    ]
    (tmp_path / "urls.txt").write_text("\n".join(lines))
    done = crawl("batch", "-f", "urls.txt", "-o", "answers.jsonl", "--overwrite", *FAST)
    assert done.code == 12, done
    answers = [json.loads(text) for text in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [(answer["outcome"], answer["status"]) for answer in answers] == [
        ("not_modified", 304),
        ("not_modified", 304),
        ("fetched", 200),
        ("fetched", 200),
        ("fetched", 200),
        ("fetched", 200),
        ("failed", 304),
        ("failed", None),
    ]
    assert (answers[6]["reason"], answers[7]["reason"]) == ("http_error", "bad_url")
    assert "entity tag" in answers[7]["detail"]
    assert site.of("/moved")["if-none-match"] == ['"v1"']
    assert "if-none-match" not in site.of("/target")  # a validator belongs to one URL
    assert "if-none-match" not in site.of("/plain")
    summary = json.loads(done.stderr.splitlines()[-1])
    assert (summary["fetched"], summary["not_modified"], summary["failed"]) == (4, 2, 2)
