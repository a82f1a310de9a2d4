"""A pool of parse workers for a test, and the state of their processes."""

import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater

from crawler.config import ParseSettings
from crawler.model import Kind
from crawler.parse.frames import ToParse
from crawler.parse.pool import ParsePool

SPIN = b"<div>" * 300_000  # quadratic in lexbor: minutes


def make_pool(**settings):
    pool = ParsePool(reactor, ParseSettings(**{"workers": 1, **settings}), "crawl")
    pool.start()
    return pool


def page(name, body=None):
    return ToParse(f"http://h.example/{name}", Kind.PAGE, "text/html", [], body or b"<title>%s</title><a href=/x>" % str(name).encode())


def exists(pid):
    return Path(f"/proc/{pid}").exists()


async def sleep(seconds):
    await deferLater(reactor, seconds, lambda: None)


async def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await sleep(0.01)


def titles(results):
    return [parsed.title for parsed in results]
