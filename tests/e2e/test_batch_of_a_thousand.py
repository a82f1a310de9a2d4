"""A thousand URLs, of which fifty fail in ten ways: a thousand answers, in order, each failure with its reason."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

from conftest import Crawl, Site
from sites.nginx import free_port

GOOD = 950
OF_EACH = 5


def test_a_thousand_answers_in_order(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    good, evil = site("generated", "--pages", GOOD), site("evil")
    closed = free_port()
    failing = {
        "dns": "http://absent-{}.invalid/",
        "connect": f"http://127.0.0.1:{closed}/{{}}",
        "tls_handshake": f"https://127.0.0.1:{evil.port}/{{}}",
        "timeout": f"{evil.url}hang/{{}}",
        "too_large": f"{evil.url}toolarge/{{}}",
        "truncated": f"{evil.url}short/{{}}",
        "bad_http": f"{evil.url}nothttp/{{}}",
        "bad_encoding": f"{evil.url}badgzip/{{}}",
        "http_error": f"{evil.url}404/{{}}",
        "redirect": f"{evil.url}badredirect/{{}}",
    }
    expected = {good.url: None} | {f"{good.url}p/{number}.html": None for number in range(1, GOOD)}
    expected |= {url.format(number): reason for reason, url in failing.items() for number in range(OF_EACH)}
    urls = sorted(expected)
    random.Random(1).shuffle(urls)
    listed = tmp_path / "urls.txt"
    listed.write_text("\n".join(urls) + "\n")

    options = ("--no-robots", "--delay", 0, "--per-host", 32, "--retries", 0, "--timeout", 3, "--max-body", 5_000_000)
    done = crawl("batch", "-f", listed, *options)
    assert done.code == 12, done
    assert "Traceback" not in done.stderr
    records = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    assert [record["url"] for record in records] == urls
    assert {record["url"]: record["reason"] for record in records} == expected
    assert Counter(record["outcome"] for record in records) == {"fetched": GOOD, "failed": len(failing) * OF_EACH}
    for url, reason in expected.items():
        if reason is not None:
            assert url in done.stderr, "each failure is listed at the end"
