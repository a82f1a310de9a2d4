"""The servers that other tests rely on are tested themselves: what they serve, what they log."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from conftest import NginxSite, Site


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_nginx_serves_a_folder_and_logs(nginx_site: NginxSite, tmp_path: Path) -> None:
    docroot = tmp_path / "docs"
    docroot.mkdir()
    (docroot / "index.html").write_text("<title>Hello</title>")
    nginx = nginx_site(docroot)
    assert get(nginx.url) == (200, b"<title>Hello</title>")
    assert get(f"{nginx.url}absent.html")[0] == 404
    time.sleep(0.1)
    seen = [(request.status, request.method, request.uri, request.content_type) for request in nginx.requests()]
    assert seen == [(200, "GET", "/", "text/html"), (404, "GET", "/absent.html", "text/html")]


def test_generated_pages_are_the_same_every_time(site: Site) -> None:
    first, second = (site("generated", "--pages", 100, "--missing-every", 5, "--redirect-every", 7, "--sitemap") for _ in range(2))
    for path in ("", "p/99.html", "p/35.html"):
        assert get(first.url + path) == get(second.url + path)
        assert get(first.url + path)[0] == 200
    assert get(f"{first.url}p/100.html")[0] == 404
    assert b"/missing/35.html" in get(f"{first.url}p/35.html")[1]
    assert get(f"{first.url}sitemap.xml")[1].count(b"<loc>") == 100
    assert get(f"{first.url}robots.txt")[0] == 404


def test_generated_hosts_log_who_was_asked_when(site: Site) -> None:
    hosts = site("generated", "--hosts", 3, "--pages", 4, "--latency", 0.2, "--robots", "User-agent: *\nDisallow: /p/3.html\n")
    before = time.monotonic()
    connections = [http.client.HTTPConnection("127.0.0.2", hosts.port, timeout=10) for _ in range(3)]
    for connection in connections:
        connection.request("GET", "/p/1.html")
    assert {connection.getresponse().status for connection in connections} == {200}
    for connection in connections:
        connection.close()
    assert get(f"http://127.0.0.3:{hosts.port}/robots.txt")[1].endswith(b"/p/3.html\n")
    hosts.stop()
    hits = hosts.hits()
    assert [(hit.address, hit.path, hit.in_flight) for hit in hits] == [
        ("127.0.0.2", "/p/1.html", 1),
        ("127.0.0.2", "/p/1.html", 2),
        ("127.0.0.2", "/p/1.html", 3),
        ("127.0.0.3", "/robots.txt", 1),
    ]
    assert all(before <= hit.arrived < hit.ended and 0.2 <= hit.ended - hit.arrived < 1 for hit in hits)
