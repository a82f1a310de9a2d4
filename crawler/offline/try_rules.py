"""``python -m crawler.offline.try_rules``: a `Trial` as JSON in, its `Findings` as JSON out; for ``crawl try``."""

from __future__ import annotations

import sys
from typing import Any, Final

import msgspec
from msgspec import Struct

from crawler.extract.rules import SOURCES, Extraction, Field, FollowRule, ItemRule, completed, expanded, patterns, selectors_of
from crawler.parse import charset, html
from crawler.parse.extraction import Extracted, Extractor
from crawler.parse.fields import CompiledItem
from crawler.parse.follow import CompiledFollow

MAX_LINKS: Final = 10_000
"""Links of a page that are looked at."""
MAX_VALUES: Final = 100
"""Values of a field that are told."""


class Trial(Struct, frozen=True):
    """Rules and a page to try them on."""

    extraction: Extraction
    url: str
    body: bytes
    content_type: str | None


class FieldFindings(Struct, frozen=True):
    """What one selector came to."""

    rule: str  # "book.price"
    selector: str  # "css .price, regex [0-9.]+, float"
    matches: int
    values: list[Any]
    required: bool = False


class ItemFindings(Struct, frozen=True):
    """What one item rule came to."""

    name: str
    applies: bool
    when: list[str]
    each: FieldFindings | None
    fields: list[FieldFindings]
    items: int


class FollowFindings(Struct, frozen=True):
    """What one follow rule came to."""

    rule: str
    applies: bool
    when: list[str]
    selector: str
    priority: int
    only: bool
    links: int


class FoundLink(Struct, frozen=True):
    """A link that would be followed."""

    url: str
    priority: int
    nofollow: bool


class Findings(Struct, frozen=True):
    """All that the rules made of a page."""

    url: str
    charset: str
    rules: list[ItemFindings]
    follow: list[FollowFindings]
    hook: int | None  # items and links that it made; None: there is none
    items: list[dict[str, Any]]
    faults: list[tuple[str, str]]
    links: list[FoundLink]
    left_out: int  # links of the page that a rule with ``only`` keeps from being followed


class _Watch:
    """Counts what selectors match, and keeps the first values."""

    def __init__(self) -> None:
        self.matches: dict[str, int] = {}
        self.values: dict[str, list[Any]] = {}

    def matched(self, rule: str, count: int) -> None:
        self.matches[rule] = self.matches.get(rule, 0) + count

    def value(self, rule: str, value: Any) -> None:
        kept = self.values.setdefault(rule, [])
        if len(kept) < MAX_VALUES:
            kept.append(value)

    def findings(self, rule: str, selector: str, *, required: bool = False) -> FieldFindings:
        return FieldFindings(rule, selector, self.matches.get(rule, 0), self.values.get(rule, []), required)


def main() -> int:
    """Serve standard input and output."""
    trial = msgspec.json.decode(sys.stdin.buffer.read(), type=Trial)
    sys.stdout.buffer.write(msgspec.json.encode(findings(trial)))
    return 0


def findings(trial: Trial) -> Findings:
    """Apply the rules to the page, as a worker would, and tell what each selector came to."""
    name, _ = charset.determine(trial.body, trial.content_type)
    text, _ = charset.to_utf8(trial.body, name)
    page = html.extract(text, trial.url, agent_token="", max_links=MAX_LINKS, want_links=True)
    watch = _Watch()
    extracted = Extractor(msgspec.json.encode(trial.extraction)).extract(text, trial.url, page.links, watch)
    priorities = dict(extracted.priorities)
    kept = {link.url for link in extracted.links}
    rules = trial.extraction
    return Findings(
        url=trial.url,
        charset=name,
        rules=[_item_findings(item, rule, trial.url, watch, extracted) for item, rule in rules.items.items()],
        follow=[_follow_findings(number, rule, trial.url, watch) for number, rule in enumerate(rules.follow)],
        hook=None if rules.hook is None else watch.matches.get("hook", 0),
        items=[msgspec.json.decode(item.data) for item in extracted.items],
        faults=extracted.faults,
        links=[FoundLink(link.url, priorities.get(link.key, 0), link.nofollow) for link in extracted.links],
        left_out=sum(link.url not in kept for link in page.links),
    )


def _item_findings(name: str, rule: ItemRule, url: str, watch: _Watch, extracted: Extracted) -> ItemFindings:
    each = None if rule.each is None else watch.findings(f"{name}.each", described(selectors_of(rule.each)))
    fields = _field_findings(rule.fields, name, watch)
    items = sum(item.type == name for item in extracted.items)
    return ItemFindings(name, CompiledItem(name, rule).applies(url), patterns(rule.when), each, fields, items)


def _field_findings(fields: dict[str, Field | str], prefix: str, watch: _Watch) -> list[FieldFindings]:
    found = []
    for name, given in fields.items():
        field = expanded(given)
        rule = f"{prefix}.{name}"
        found.append(watch.findings(rule, described(field), required=field.required))
        found += _field_findings(field.fields, rule, watch)
    return found


def _follow_findings(number: int, rule: FollowRule, url: str, watch: _Watch) -> FollowFindings:
    compiled = CompiledFollow(number, rule)
    full = completed(rule)
    said = [f"css {full.css}" if full.css else "", f"xpath {full.xpath}" if full.xpath else ""]
    said += [f"url {pattern}" for pattern in patterns(full.url)]
    selector = ", ".join(filter(None, said)) or "every link"
    links = watch.matches.get(compiled.name, 0)
    return FollowFindings(compiled.name, compiled.applies(url), patterns(rule.when), selector, compiled.priority, rule.only, links)


def described(field: Field) -> str:
    """Return a field's rule in one line: where it is taken from, and what is made of it."""
    named = [f"{source} {value}" for source in SOURCES if (value := getattr(field, source)) is not None and source != "url"]
    source = named[0] if named else "the page's URL" if field.url else "the node itself"
    rest = [f"@{field.attribute}"] if field.attribute else []
    said = " ".join([source, *rest])
    more = [f"regex {field.regex}"] if field.regex else []
    more += [field.type] if field.type != "text" else []
    more += ["list"] if field.many else []
    return ", ".join([said, *more])


if __name__ == "__main__":
    sys.exit(main())
