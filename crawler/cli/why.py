"""``crawl why``: what became of a URL and who decided, or what would decide about it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from crawler import url as urls
from crawler.cli.report import clean
from crawler.errors import Exit
from crawler.job import Job, canonical_seed
from crawler.model import Link, Record, Via
from crawler.policy.admit import DEPTH_RULE, TRAPS_RULE, make_door
from crawler.policy.robots import RobotsCache, RobotsEntry, product_token
from crawler.shards.reader import open_reader
from crawler.store.reader import Known

MEANINGS: Final = {
    "scope:host": "it is on another host than the seeds (--scope domain or any would let it in)",
    "scope:domain": "it is outside the seeds' domains (--scope any would let it in)",
    "scope:prefix": "it is outside the seeds' folders (--scope host would let it in)",
    "include": "no --include pattern is found in it",
    "depth": "it is too many links away from a seed (--depth)",
    "host_budget": "its host had its share already (--max-pages-per-host)",
    "redirects": "too many redirects in a row led to it (--max-redirects)",
    "nofollow": "every link to it said nofollow (--no-nofollow would follow)",
    "trap:repeated_segments": "its path repeats itself, as in sites that never end",
    "trap:path_depth": "its path has too many segments, as in sites that never end",
    "trap:query_parameters": "it has too many query parameters",
    "trap:growing_query": "its query repeats itself, as in sites that never end",
    "trap:calendar": "it is a calendar's page of many years ahead",
    "trap:session_id": "it carries a session id; the same URL without it takes its place",
    "trap:endless": "only pages of an endless kind led to it: hundreds alike, which lead to nothing but each other",
    "trap:same_content": "only pages led to it that are the same to the byte, one below the other",
    "trap:sitemap_nesting": "sitemap indexes are nested too deep",
    "trap:imports": "too many style sheets in a row import one another (--max-redirects)",
}
"""Rules in words; ``exclude:PATTERN`` says itself."""


@click.command()
@click.argument("home", type=click.Path())
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def command(home: str, url: str, as_json: bool) -> Exit:
    """Say what became of URL in the crawl in the folder HOME: its outcome, or the rule that refused it."""
    reader = open_reader(Path(home))
    try:
        canonical = canonical_seed(url)
        known = reader.known(canonical)
        job = reader.job()
        trail = explain(job, known, reader.seed_redirects())
        robots = robots_verdict(job, canonical, reader.robots(urls.origin(canonical)))
    finally:
        reader.close()
    if as_json:
        answer = {"known": known, "rules": [{"rule": rule, "passed": passed} for rule, passed in trail], "robots": robots}
        click.echo(msgspec.json.encode(answer).decode())
    else:
        click.echo("\n".join(map(clean, _lines(known, trail, robots, url))))
    return Exit.FINISHED


def explain(job: Job, known: Known, extensions: list[str]) -> list[tuple[str, bool]]:
    """Return the rules of the one door, in order, as they answer for a link to the URL."""
    door = make_door(job.seeds, job.settings, extensions, year=time.gmtime().tm_year)
    via = Via(known.via) if known.via else Via.SEED if known.url in job.seeds else Via.LINK
    return door.explain(Link(known.url, via, known.depth or 0, known.referrer))


def robots_verdict(job: Job, url: str, stored: bytes | None) -> str:
    """Return what the stored robots.txt of the URL's origin says about it."""
    polite = job.settings.politeness
    if not polite.robots:
        return "not asked (--no-robots)"
    if stored is None:
        return "not fetched"
    token = product_token(polite.user_agent)
    cache = RobotsCache(token, ttl=polite.robots_ttl, obey=True, max_delay=polite.max_delay)
    cache.restore(msgspec.json.decode(stored, type=RobotsEntry))
    try:
        refusal = cache.refusal(url)
    except KeyError:  # stored under another user agent's name
        return "fetched for another user agent"
    return "allows it" if refusal is None else f"forbids it: {refusal[1]}"


def _lines(known: Known, trail: list[tuple[str, bool]], robots: str, asked: str) -> list[str]:
    lines = [known.url if known.url == asked else f"{known.url} (the canonical form of {asked})"]
    lines += [f"  {line}" for line in _fate(known, trail)]
    if known.record is not None or known.state == "queued":
        lines.append(f"  found: {_origin(known)}")
    elif known.referrer:
        lines.append(f"  linked from: {known.referrer}")
    rules = ", ".join(f"{_rule_name(rule)} {'passes' if passed else 'refuses'}" for rule, passed in trail)
    return [*lines, f"  rules: {rules or 'none ask about it'}", f"  robots.txt: {robots}"]


def _rule_name(rule: str) -> str:
    return "traps" if rule == TRAPS_RULE else rule


def _fate(known: Known, trail: list[tuple[str, bool]]) -> list[str]:
    if known.record is not None:
        return _record_lines(known.record)
    if known.state == "queued":
        tried = f", after {known.attempts} attempts" if known.attempts else ""
        return [f"queued: it will be fetched when the crawl goes on{tried}"]
    if known.state == "too_deep":
        return [f"refused by {DEPTH_RULE}: {MEANINGS[DEPTH_RULE]}"]
    if known.state == "refused":
        return [f"refused by {known.rule}: {_meaning(known.rule or '')}"]
    refusing = next((rule for rule, passed in trail if not passed), None)
    if refusing is not None:
        return [f"not seen so far; a link to it would be refused by {refusing}: {_meaning(refusing)}"]
    return ["not seen: nothing that was crawled so far leads to it"]


def _meaning(rule: str) -> str:
    if rule.startswith("exclude:"):
        return "an --exclude pattern is found in it"
    return MEANINGS.get(rule, "see docs/architecture.md")


def _record_lines(record: Record) -> list[str]:
    head = f"{record.outcome}{f' ({record.reason})' if record.reason else ''}{f': {record.detail}' if record.detail else ''}"
    facts: list[tuple[str, Any]] = [
        ("status", record.status),
        ("at", record.fetched_at),
        ("type", record.content_type),
        ("bytes", record.bytes),
        ("redirects to", record.redirect_to),
        ("attempts", record.attempts),
    ]
    return [head, ", ".join(f"{name} {value}" for name, value in facts if value is not None)]


def _origin(known: Known) -> str:
    where = f" on {known.referrer}" if known.referrer else ""
    return f"as a {known.via}{where}, depth {known.depth}"
