"""Seven traps, each on an address of its own beside 30 good pages; no trap ends by itself.

    python tests/sites/trap_site.py --port 0

127.0.0.1 a calendar, 2 session ids that are new on every page, 3 random URLs that all answer 200, 4 the same page for every path, with
relative links, 5 redirects that count, 6 facets, 7 a login link that names the page it is on, which has one, too.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

from loopback import Answer, Server, answer

GOOD = 30
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
FACETS = {name: ["1", "2", "3"] for name in ("brand", "colour", "length", "size")}
RANDOM_LINKS = 5

_counter = itertools.count(1)


def good_urls() -> list[str]:
    return [f"/good/{number}" for number in range(GOOD)]


def page(title: str, links: list[str], text: str = "") -> Answer:
    items = "".join(f'<li><a href="{link}">{link}</a></li>\n' for link in links)
    head = f"<!doctype html>\n<html><head><title>{title}</title></head>"
    return answer(200, f"{head}<body><p>{text}</p><ul>\n{items}</ul></body></html>".encode())


def good(number: int, links: list[str]) -> Answer:
    """A good page, which leads to the next one, and back; each is found one click after the other."""
    return page(f"Good page {number}", ["/", f"/good/{(number + 1) % GOOD}", *links], "What it says is its own. " * (number + 1))


def token(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def calendar(path: str) -> Answer | None:
    """Months in both directions, each with its days; there is an event in one of them that no other page links to."""
    name, _, rest = path[1:].partition("/")
    if name != "calendar":
        return None
    year, _, month = (rest or "2024-05").partition("-")
    index = int(year) * 12 + int(month) - 1
    near = [f"/calendar/{other // 12:04}-{other % 12 + 1:02}" for other in (index - 1, index + 1)]
    event = ["/good/calendar"] if rest == "2024-09" else []
    return page(f"{MONTHS[index % 12]} {index // 12}", [*near, "/", *event], f"{28 + index % 4} days")


def random_urls(path: str) -> Answer | None:
    if not path.startswith("/r/"):
        return None
    links = [f"/r/{token(path + str(number))}" for number in range(RANDOM_LINKS)]
    return page("Nothing found", ["/", *links], f"There is nothing at {path}, or was not at {next(_counter):08}.")


def relative(path: str) -> Answer | None:
    """An application's shell, whatever is asked for."""
    links = ["index.html", "docs/", "blog/", "docs/install", "blog/first", "shop/cart", "shop/"]
    return None if path == "/" or path.startswith("/good/") else page("Application", links)


def counting(path: str) -> Answer | None:
    if not path.startswith("/count"):
        return None
    number = int(path.partition("?n=")[2] or 0)
    return answer(302, b"", extra=f"Location: /count?n={number + 1}\r\n")


def facets(path: str) -> Answer | None:
    """Each choice can be added in any order: there are 4^4 selections, and some thousands of URLs of them."""
    name, _, query = path[1:].partition("?")
    if name != "shop":
        return None
    chosen = dict(parse_qsl(query))
    more = [{**chosen, facet: value} for facet, values in FACETS.items() for value in values if facet not in chosen]
    goods = good_urls()[: GOOD >> 2 * len(chosen)]
    return page("Shop", ["/", *goods, *("/shop?" + urlencode(choice).replace("&", "&amp;") for choice in more)])


def login(path: str) -> Answer | None:
    if not path.startswith("/login?"):
        return None
    return page("Log in", ["/", f"/login?next={quote(path, safe='')}"], f"and go on to {unquote(path)}")


TRAPS = (calendar, None, random_urls, relative, counting, facets, login)
ENTRANCES = (["/calendar"], [], ["/r/first"], ["docs/"], [f"/count/{number}" for number in range(3)], ["/shop"], ["/login?next=%2F"])


def respond(address: str, path: str) -> Answer:
    number = int(address.rpartition(".")[2]) - 1
    trap, entrance = TRAPS[number], ENTRANCES[number]
    if path == "/robots.txt":
        return answer(404, b"", "text/plain")
    if number == 1:
        return with_sessions(path)
    found = trap(path) if trap is not None else None
    if found is not None:
        return found
    if path == "/":
        return page("Home", ["/good/0", *entrance])
    name = path.removeprefix("/good/")
    if name == "calendar":
        return page("The event", ["/"])
    return good(int(name), entrance) if name.isdigit() and int(name) < GOOD else answer(404, b"<title>Not here</title>")


def with_sessions(path: str) -> Answer:
    """Every link has a session id that is new: in four spellings, by the number of the page. `/asp/…` redirects to one that has."""
    plain = path.partition(";")[0].partition("?")[0]
    if plain.startswith("/(S("):
        plain = plain.partition("))")[2]
    identity = token(f"session {next(_counter)}")
    if plain.startswith("/asp/") and not path.startswith("/(S("):  # it insists
        return answer(302, b"", extra=f"Location: /(S({identity})){plain}\r\n")
    if plain == "/":
        return page("Home", [_with_session("/good/0", 0, identity)])
    kind, _, name = plain[1:].partition("/")
    if kind not in ("good", "asp") or not name.isdigit() or int(name) >= GOOD:
        return answer(404, b"<title>Not here</title>")
    number = int(name)
    after = (number + 1) % GOOD
    links = [_with_session("/", number, identity), _with_session(f"/good/{after}", number, identity)]
    links += [f"/(S({identity}))/asp/{number}"] if kind == "good" else []
    return page(f"Good page {number}", links)


def _with_session(path: str, number: int, identity: str) -> str:
    spellings = [f"{path};jsessionid={identity}", f"{path}?PHPSESSID={identity}", f"{path}?sid={identity}01234567"]
    return [*spellings, f"{path}?CFID={number}&amp;CFTOKEN={identity}"][number % 4]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("/dev/null"))
    options = parser.parse_args()
    server = Server([f"127.0.0.{number}" for number in range(1, len(TRAPS) + 1)], options.port, respond, options.log)
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
