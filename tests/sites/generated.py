"""Sites whose pages are computed from their numbers: the same on every run, as large as wanted, stored nowhere.

    python tests/sites/generated.py --port 0 --pages 200000             # one tree of pages on 127.0.0.1
    python tests/sites/generated.py --port 0 --hosts 200 --pages 30     # 200 sites, 127.0.0.1 to 127.0.0.200, linked to each other

The port is printed on standard output once every address listens. `--log` gets a line for each request:
``arrived ended address in_flight status path`` (monotonic seconds).
"""

from __future__ import annotations

import argparse
import html
from pathlib import Path
from typing import NamedTuple

from loopback import Answer, Server, answer

WORDS = ["frontier", "scope", "seed", "lease", "record", "outcome", "politeness", "window", "commit", "fetch", "parse", "host"]


class Shape(NamedTuple):
    """What the site looks like; a `…_every` of 0 switches that peculiarity off."""

    pages: int
    fanout: int = 8
    hosts: int = 1
    port: int = 0
    page_bytes: int = 2000
    latency: float = 0.0
    slow_every: int = 0
    slow_time: float = 1.0
    missing_every: int = 0
    redirect_every: int = 0
    error_every: int = 0
    robots: str | None = None
    sitemap: bool = False


def page_url(number: int) -> str:
    return "/" if number == 0 else f"/p/{number}.html"


def linked_pages(number: int, shape: Shape) -> list[int]:
    """Return the pages that page `number` links to: its children in the tree, its parent, and two far away."""
    first = number * shape.fanout + 1
    children = range(first, min(first + shape.fanout, shape.pages))
    parent = [(number - 1) // shape.fanout] if number else []
    return [*children, *parent, (number * 7919 + 13) % shape.pages, (number * 104729 + 7) % shape.pages]


def links(number: int, address: str, shape: Shape) -> list[str]:
    """Return every href of page `number`, in order."""
    found = [page_url(other) for other in linked_pages(number, shape)]
    if shape.missing_every and number % shape.missing_every == 0:
        found.append(f"/missing/{number}.html")
    if shape.redirect_every and number % shape.redirect_every == 0:
        found.append(f"/moved/{number}")
    if shape.error_every and number % shape.error_every == 0:
        found.append(f"/error/{number}.html")
    if shape.hosts > 1 and number == 0:
        own = int(address.rpartition(".")[2])
        neighbours = {(own + step - 1) % shape.hosts + 1 for step in (1, 2, 7)} - {own}
        found += [f"http://127.0.0.{neighbour}:{shape.port}/" for neighbour in sorted(neighbours)]
    return found


def page(number: int, address: str, shape: Shape) -> bytes:
    """Return page `number` as HTML, padded with words to about `page_bytes`."""
    title = f"Page {number} of {address}"
    items = "".join(f'<li><a href="{html.escape(href)}">{html.escape(href)}</a></li>\n' for href in links(number, address, shape))
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    head += f'<meta name="description" content="Number {number}"></head>\n<body><h1>{title}</h1>\n<ul>\n{items}</ul>\n'
    sentence = " ".join(WORDS[(number + step * 7) % len(WORDS)] for step in range(40))
    repeats = max(0, shape.page_bytes - len(head)) // (len(sentence) + 8)
    return (head + f"<p>{sentence}</p>\n" * repeats + "</body></html>\n").encode()


def respond(address: str, path: str, shape: Shape) -> Answer:
    """Answer one request from its path alone."""
    if path == "/":
        return _page_answer(0, address, shape)
    kind, _, rest = path[1:].partition("/")
    name = rest.partition(".")[0].partition("?")[0]
    number = int(name) if name.isdigit() else -1
    if kind == "p" and 0 < number < shape.pages:
        return _page_answer(number, address, shape)
    if kind == "moved" and number >= 0:
        return answer(302, b"", extra=f"Location: {page_url((number * 31 + 1) % shape.pages)}\r\n", delay=shape.latency)
    if kind == "error" and number >= 0:
        return answer(500, b"broken\n", "text/plain", delay=shape.latency)
    if path == "/robots.txt" and shape.robots is not None:
        return answer(200, shape.robots.encode(), "text/plain", delay=shape.latency)
    if path == "/sitemap.xml" and shape.sitemap:
        return answer(200, sitemap(address, shape), "application/xml", delay=shape.latency)
    return answer(404, b"<title>Not here</title>\n", delay=shape.latency)


def _page_answer(number: int, address: str, shape: Shape) -> Answer:
    slow = shape.slow_every and number and number % shape.slow_every == 0
    return answer(200, page(number, address, shape), delay=shape.slow_time if slow else shape.latency)


def sitemap(address: str, shape: Shape) -> bytes:
    """Return a sitemap of the first 50 000 pages (sitemaps.org allows no more in one file)."""
    site = f"http://{address}:{shape.port}"
    entries = "".join(f"<url><loc>{site}{page_url(number)}</loc></url>\n" for number in range(min(shape.pages, 50_000)))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{entries}</urlset>\n'.encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("/dev/null"))
    parser.add_argument("--pages", type=int, default=1000, help="pages of each host")
    parser.add_argument("--hosts", type=int, default=1, help="addresses 127.0.0.1 to 127.0.0.N")
    parser.add_argument("--fanout", type=int, default=8, help="children of a page")
    parser.add_argument("--page-bytes", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--slow-every", type=int, default=0)
    parser.add_argument("--slow-time", type=float, default=1.0)
    parser.add_argument("--missing-every", type=int, default=0, help="every n-th page links to a 404")
    parser.add_argument("--redirect-every", type=int, default=0, help="every n-th page links to a redirect")
    parser.add_argument("--error-every", type=int, default=0, help="every n-th page links to a 500")
    parser.add_argument("--robots", help="text of robots.txt; without it there is none (404)")
    parser.add_argument("--sitemap", action="store_true", help="serve /sitemap.xml")
    options = vars(parser.parse_args())
    port, log = options.pop("port"), options.pop("log")
    if not 1 <= options["hosts"] <= 254 or options["pages"] < 1 or options["fanout"] < 1:
        parser.error("hosts are 1 to 254; pages and fan-out at least 1")
    shape = Shape(**options)
    addresses = [f"127.0.0.{number}" for number in range(1, shape.hosts + 1)]
    server = Server(addresses, port, lambda address, path: respond(address, path, shape), log)
    shape = shape._replace(port=server.port)
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
