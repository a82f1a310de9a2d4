"""What the table of hostile cases is made of: ends, rows, cases."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

End = tuple[str, str | None]
Records = dict[str, dict[str, Any]]

FETCHED: Final = ("fetched", None)
REDIRECTED: Final = ("redirected", None)
BAD_HTTP: Final = ("failed", "bad_http")
BAD_ENCODING: Final = ("failed", "bad_encoding")
TOO_LARGE: Final = ("failed", "too_large")
TIMEOUT: Final = ("failed", "timeout")
TRUNCATED: Final = ("failed", "truncated")
CONNECT: Final = ("failed", "connect")
HTTP_ERROR: Final = ("failed", "http_error")
REDIRECT: Final = ("failed", "redirect")
PARSE: Final = ("failed", "parse")
DNS: Final = ("failed", "dns")
ADDRESS: Final = ("denied", "address")
ROBOTS: Final = ("denied", "robots")
UNREACHABLE: Final = ("denied", "robots_unreachable")


class Row(NamedTuple):
    """URLs of a crawl and the end that each of them must come to."""

    paths: tuple[str, ...]  # of the host; or whole URLs; or, with `count`, one regular expression
    end: End
    host: int = 1  # 127.0.0.x
    count: int = 0  # so many URLs match the expression, and all of them have this end
    detail: str = ""  # a regular expression that the record's detail must match
    fields: tuple[tuple[str, object], ...] = ()  # further fields of the record
    tries: bool = False  # of the crawl that tries again what failed
    label: str = ""  # instead of the paths, for people

    @property
    def expected(self) -> str:
        told = [told_end(*self.end), *(f"{name} {value!r}" for name, value in self.fields)]
        return ", ".join([*told, f"“{self.detail}”"] if self.detail else told)

    @property
    def name(self) -> str:
        text = self.label or " ".join(self.paths)
        return text if len(text) <= 160 else f"{' '.join(self.paths[:3])} and {len(self.paths) - 3} more"

    def urls(self, ports: dict[str, int], found: Records) -> list[str]:
        """Return the URLs that this row is about."""
        if self.count:
            return [url for url in found if re.search(self.paths[0], url)]
        return [with_ports(path if "://" in path else f"http://127.0.0.{self.host}:MAIN{path}", ports) for path in self.paths]

    def seen(self, ports: dict[str, int], found: Records) -> tuple[bool, str]:
        """Tell whether all is as expected, and what was seen."""
        urls = self.urls(ports, found)
        wrong = [f"{url}: {told}" for url in urls if (told := self._fault(found.get(url)))]
        if self.count and len(urls) != self.count:
            wrong.append(f"{len(urls)} URLs instead of {self.count}")
        if wrong:
            return False, "; ".join(wrong[:3])
        detail = next((found[url]["detail"] for url in urls if found[url]["detail"]), None)
        told = f"{len(urls)} × {told_end(*self.end)}" if len(urls) > 1 else told_end(*self.end)
        told += "".join(f", {name} {found[urls[0]][name]!r}" for name, _ in self.fields)
        return True, f"{told}, “{detail}”" if detail else told

    def _fault(self, record: dict[str, Any] | None) -> str:
        if record is None:
            return "no record"
        if (record["outcome"], record["reason"]) != self.end:
            return f"{told_end(record['outcome'], record['reason'])}, “{record['detail']}”"
        if self.detail and not re.search(self.detail, record["detail"] or ""):
            return f"the detail is {record['detail']!r}"
        return next((f"{name} is {record[name]!r}" for name, value in self.fields if record[name] != value), "")


class Case(NamedTuple):
    """One number of the table."""

    title: str
    rows: tuple[Row, ...] = ()
    tests: tuple[str, ...] = ()  # what no server can play, or not alone: the tests that show it
    note: str = ""  # why something does not apply, or what is meant


def with_ports(text: str, ports: dict[str, int]) -> str:
    for name, port in ports.items():
        text = text.replace(f":{name}/", f":{port}/")
    return text


def told_end(outcome: str, reason: str | None) -> str:
    return f"{outcome} ({reason})" if reason else outcome


def web(paths: str, end: End, *, host: int = 1, detail: str = "", label: str = "", **fields: object) -> Row:
    """A row for paths that blanks separate; ``name[3-5]`` stands for three of them."""
    return Row(tuple(spread(paths)), end, host, 0, detail, tuple(fields.items()), label=label)


def again(paths: str, end: End, *, detail: str = "", **fields: object) -> Row:
    """The same in the crawl that tries again."""
    return web(paths, end, detail=detail, **fields)._replace(tries=True)


def counted(pattern: str, count: int, end: End, label: str) -> Row:
    return Row((pattern,), end, count=count, label=label)


def spread(paths: str) -> list[str]:
    found = []
    for path in paths.split():
        name, bracket, rest = path.partition("[")
        if bracket and re.fullmatch(r"\d+-\d+\]", rest):
            first, last = map(int, rest[:-1].split("-"))
            found += [f"{name}{number}" for number in range(first, last + 1)]
        else:
            found.append(path)
    return found
