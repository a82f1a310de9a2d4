"""``crawl run`` and ``crawl batch`` through a real proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Crawl, Read, Site, lacking
from sites.proxies import PACKAGES, RealProxy, program


@pytest.fixture
def tinyproxy(tmp_path: Path) -> Iterator[RealProxy]:
    if program("tinyproxy") is None:
        lacking("tinyproxy", PACKAGES["tinyproxy"])
    proxy = RealProxy("tinyproxy", tmp_path / "tinyproxy", extra="BasicAuth ann hunter2")
    yield proxy
    proxy.stop()


def test_a_crawl_through_a_proxy(crawl: Crawl, site: Site, read_records: Read, tinyproxy: RealProxy, tmp_path: Path) -> None:
    served = site("generated", "--pages", 30)
    (tmp_path / "word").write_text("hunter2\n", encoding="utf-8")
    options = ["--proxy", f"http://ann@{tinyproxy.address}", "--proxy-password", f"file:{tmp_path / 'word'}", "--delay", "0"]
    done = crawl("run", served.url, "--dir", "home", *options)
    assert done.code == 0, done
    records = read_records(tmp_path / "home" / "records.jsonl")
    assert len([record for record in records if record["outcome"] == "fetched"]) >= 30
    assert {record["ip"] for record in records} == {None}
    for file in (tmp_path / "home").iterdir():
        assert b"hunter2" not in file.read_bytes(), file
    assert "hunter2" not in done.stdout + done.stderr


def test_a_list_through_the_environments_proxy(crawl: Crawl, site: Site, tinyproxy: RealProxy) -> None:
    served = site("generated", "--pages", 5)
    environment = {"http_proxy": f"http://ann:hunter2@{tinyproxy.address}"}
    through = crawl("batch", served.url, "--proxy", "env", env=environment)
    assert (through.code, json.loads(through.stdout)["ip"]) == (0, None), through
    unasked = crawl("batch", served.url, env=environment)
    assert json.loads(unasked.stdout)["ip"] == "127.0.0.1"
    direct = crawl("batch", served.url, "--proxy", "env", env=environment | {"no_proxy": "127.0.0.1"})
    assert json.loads(direct.stdout)["ip"] == "127.0.0.1"


def test_a_wrong_password_is_told(crawl: Crawl, site: Site, tinyproxy: RealProxy) -> None:
    served = site("generated", "--pages", 5)
    options = ["--proxy", f"http://ann@{tinyproxy.address}", "--proxy-password", "env:WORD", "--retries", "0", "--no-robots"]
    done = crawl("batch", served.url, *options, env={"WORD": "wrong"})
    record = json.loads(done.stdout)
    assert (done.code, record["reason"], record["status"], record["ip"]) == (12, "http_error", 401, None), done
