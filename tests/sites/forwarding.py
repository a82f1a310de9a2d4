"""Hosts that lead to each other: every odd one sends its index page, and its robots.txt, on to the next, even one.

The even hosts have ten pages, which link to each other and to the next two even hosts; their robots.txt forbids one page. A crawl from the
odd hosts reaches all of them, and whose pages are in scope is known only once somebody was sent on.

    python tests/sites/forwarding.py --port 0 --hosts 20 --log FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path

from loopback import Answer, Server, answer

PAGES = 10


def respond(address: str, path: str, hosts: int, port: int) -> Answer:
    number = int(address.rpartition(".")[2])
    if number % 2:
        return answer(301, b"", extra=f"Location: http://127.0.0.{number + 1}:{port}{path}\r\n", delay=0.01)
    if path == "/robots.txt":
        return answer(200, b"User-agent: *\nDisallow: /p/7.html\n", "text/plain", delay=0.02)
    others = [f"http://127.0.0.{(number + step - 1) % hosts + 1}:{port}/p/{step}.html" for step in (2, 4)]
    links = [f"/p/{page}.html" for page in range(1, PAGES)] + others
    body = f"<title>{address}{path}</title>" + "".join(f'<a href="{link}">x</a>' for link in links)
    return answer(200, body.encode(), delay=0.01 * (number % 7))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--hosts", type=int, default=20)
    options = parser.parse_args()
    addresses = [f"127.0.0.{number}" for number in range(1, options.hosts + 1)]
    server = Server(addresses, options.port, lambda address, path: respond(address, path, options.hosts, server.port), options.log)
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
