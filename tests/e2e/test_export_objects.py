"""Object storage: a real S3 server (moto's) on loopback, read back by another client (boto3)."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from botocore.client import Config

from crawler.errors import StoreError, UsageError
from crawler.export.formats import parse_output, write
from crawler.export.places import MARK, new_file
from crawler.export.source import Source
from crawler.export.targets import check_target
from crawler.model import Outcome, Record, Via


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an S3 server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    try:
        for _ in range(400):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return a client with a new bucket; the environment leads exports to it."""
    for name, value in {
        "ACCESS_KEY_ID": "key",
        "SECRET_ACCESS_KEY": "hidden",
        "DEFAULT_REGION": "us-east-1",
        "ENDPOINT_URL": endpoint,
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    client = boto3.client("s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": "path"}))
    client.create_bucket(Bucket="crawls")
    yield client
    for entry in client.list_objects_v2(Bucket="crawls").get("Contents", []):
        client.delete_object(Bucket="crawls", Key=entry["Key"])
    client.close()


def names(client: Any) -> list[str]:
    return sorted(entry["Key"] for entry in client.list_objects_v2(Bucket="crawls").get("Contents", []))


def content(client: Any, key: str) -> bytes:
    body: bytes = client.get_object(Bucket="crawls", Key=key)["Body"].read()
    return body


def record(url: str, **values: Any) -> Record:
    known = dict.fromkeys(Record.__struct_fields__) | {"url": url, "outcome": Outcome.FETCHED, "depth": 1, "via": Via.LINK, "robots": []}
    return Record(**(known | {"attempts": 1} | values))  # type: ignore[arg-type]


def source(*urls: str) -> Source:
    return Source(lambda: (record(url) for url in urls), lambda _: iter(()), {}, list, [])


def test_a_file_becomes_an_object(s3: Any) -> None:
    assert write(parse_output("s3://crawls/2026/pages.jsonl"), source("http://a/1", "http://a/2")) == 2
    assert names(s3) == ["2026/pages.jsonl"]
    assert [json.loads(line)["url"] for line in content(s3, "2026/pages.jsonl").splitlines()] == ["http://a/1", "http://a/2"]
    assert write(parse_output("s3://crawls/pages.parquet"), source("http://a/1")) == 1
    assert pq.read_table(io.BytesIO(content(s3, "pages.parquet")))["url"].to_pylist() == ["http://a/1"]


def test_a_folder_becomes_objects_and_those_of_an_earlier_export_go(s3: Any) -> None:
    output = parse_output("s3://crawls/pages.parquet?partition=host")
    assert write(output, source("http://a.example/", "http://b.example/")) == 2
    assert names(s3) == [f"pages.parquet/{name}" for name in (MARK, "host=a.example/part-0.parquet", "host=b.example/part-0.parquet")]
    assert write(output, source("http://c.example/")) == 1
    assert names(s3) == [f"pages.parquet/{name}" for name in (MARK, "host=c.example/part-0.parquet")]


def test_a_large_file_goes_in_parts(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(12 * 1024 * 1024)

    def make(_source: Source, target: Path, **_: Any) -> int:
        with new_file(target) as path:
            path.write_bytes(data)
        return 1

    monkeypatch.setattr("crawler.export.lines.write_lines", make)
    assert write(parse_output("s3://crawls/large.jsonl"), source()) == 1
    head = s3.head_object(Bucket="crawls", Key="large.jsonl")
    assert "-" in head["ETag"], "an ETag with a dash is that of an object in parts"
    assert content(s3, "large.jsonl") == data


def test_what_is_there_is_replaced_only_on_demand(s3: Any) -> None:
    s3.put_object(Bucket="crawls", Key="pages.csv", Body=b"precious")
    output = parse_output("s3://crawls/pages.csv")
    with pytest.raises(UsageError, match=r"s3://crawls/pages\.csv: exists already"):
        check_target(output, overwrite=False)
    check_target(output, overwrite=True)
    check_target(parse_output("s3://crawls/other.csv"), overwrite=False)
    s3.put_object(Bucket="crawls", Key="all.md/letter", Body=b"precious")
    with pytest.raises(UsageError, match="no export of a crawl wrote"):
        check_target(parse_output("s3://crawls/all.md/"), overwrite=True)


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_"))]:
        monkeypatch.delenv(name)
    with socket.socket() as nobody:  # in place of the cloud's own service, which obstore asks then
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(StoreError, match=r"s3://crawls/a\.csv: no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET"):
            check_target(parse_output("s3://crawls/a.csv"), overwrite=False)
    with pytest.raises(UsageError, match="set AZURE_STORAGE_ACCOUNT_NAME"):
        check_target(parse_output("az://crawls/a.csv"), overwrite=False)


def test_what_cannot_be_is_told(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="name a bucket and an object"):
        check_target(parse_output("s3:///a.csv"), overwrite=False)
    absent = parse_output("s3://absent/a.csv")
    for attempt in (lambda: write(absent, source()), lambda: check_target(absent, overwrite=False)):
        with pytest.raises(StoreError, match=r"s3://absent/a\.csv: .*bucket") as caught:
            attempt()
        assert "hidden" not in str(caught.value)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(StoreError, match=r"127\.0\.0\.1"):
            check_target(parse_output("s3://crawls/a.csv"), overwrite=False)
