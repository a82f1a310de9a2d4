"""The options of `crawl run`: a table by sections, each option tied to the setting it overrides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import click

from crawler.cli.proxy_options import PROXY_HELP, parse_proxies
from crawler.cli.quantities import Duration, Size
from crawler.cli.site_options import given_sites, site_options
from crawler.config import DEFAULTS, setting
from crawler.errors import UsageError

HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\t]*)")
_SECRET_REMEDY: Final = {
    "authorization": "--basic SITE USER env:NAME, --bearer SITE env:NAME, or --header-for SITE 'Authorization: env:NAME'",
    "cookie": "--header-for SITE 'Cookie: env:NAME', or --cookie-file FILE",
}
_POSITIVE: Final = click.IntRange(min=1)
_COUNT: Final = click.IntRange(min=0)


class Section:
    """A heading of the help and its options."""

    def __init__(self, heading: str, *options: click.Option) -> None:
        self.heading = heading
        self.options = options


class SectionedCommand(click.Command):
    """A command whose help lists its options by sections."""

    def __init__(self, *args: Any, sections: Sequence[Section], **kwargs: Any) -> None:
        self.sections = sections
        options = [option for section in sections for option in section.options]
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *options]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section under its heading, then ``--help``."""
        for section in self.sections:
            rows = [record for option in section.options if (record := option.get_help_record(ctx))]
            if rows:
                with formatter.section(section.heading):
                    formatter.write_dl(rows)
        help_option = self.get_help_option(ctx)
        if help_option is not None and (record := help_option.get_help_record(ctx)):
            with formatter.section("Help"):
                formatter.write_dl([record])


class SettingOption(click.Option):
    """An option that overrides the setting `key` (``section.name``); its default is the setting's own and is shown."""

    def __init__(self, *names: str, key: str, help: str, **kwargs: Any) -> None:
        self.key = key
        shown = _shown_default(key, kwargs.get("type"))
        super().__init__(list(names), help=f"{help}  [default: {shown}]" if shown else help, default=None, **kwargs)


def _shown_default(key: str, kind: object) -> str:
    value = setting(DEFAULTS, key)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ([], {}):
        return ""
    if key == "parse.workers":
        return "one per core"
    if isinstance(kind, Duration):
        return f"{value:g} s"
    return f"{value // 2**20}M" if isinstance(kind, Size) else str(value)


def given_settings(ctx: click.Context) -> dict[str, Any]:
    """Return the settings that were given on the command line, by ``section.key``."""
    flags: dict[str, Any] = {}
    for option in ctx.command.params:
        if not isinstance(option, SettingOption) or option.name is None:
            continue
        value = ctx.params[option.name]
        if value is None or value == ():
            continue
        flags[option.key] = list(value) if isinstance(value, tuple) else value
    if "fetch.headers" in flags:
        flags["fetch.headers"] = parse_headers(flags["fetch.headers"])
    if "fetch.proxies" in flags:
        flags["fetch.proxies"] = parse_proxies(flags["fetch.proxies"])
    if sites := given_sites(ctx.params):
        flags["fetch.sites"] = sites
    if flags.get("fetch.cookies") is False:
        if "fetch.cookie_file" in flags:
            raise UsageError("--cookie-file: turns cookies on, and --no-cookies off; give one of them")
        flags["fetch.cookie_file"] = None
    return flags


def parse_headers(lines: Sequence[str]) -> dict[str, str]:
    """Return header fields given as ``Name: value``.

    Raises UsageError for one that is not a field (RFC 9110 section 5), is given twice, is not the user's to set, or is a secret, which
    belongs to a site and would go to every host.
    """
    from crawler.fetch.sites import SECRET_HEADERS, field_problem

    fields: dict[str, str] = {}
    for line in lines:
        found = HEADER.fullmatch(line)
        if found is None:
            raise UsageError(f"--header {line!r}: not a header; write it like --header 'Accept-Language: en'")
        name = found[1]
        if problem := field_problem(name, found[2]):
            raise UsageError(f"--header {name}: {problem}")
        if name.lower() in SECRET_HEADERS:
            raise UsageError(f"--header {name}: would go to every host; give it to its site: {_SECRET_REMEDY[name.lower()]}")
        if name.lower() in {known.lower() for known in fields}:
            raise UsageError(f"--header {name}: given twice; join the values with commas")
        fields[name] = found[2].rstrip()
    return fields


def choice_of(key: str) -> click.Choice[str]:
    """Return the choices that a setting of literal type allows."""
    from typing import get_args, get_type_hints

    section, _, name = key.partition(".")
    return click.Choice(get_args(get_type_hints(type(getattr(DEFAULTS, section)))[name]))


def reporting_options() -> list[click.Option]:
    """Return the options that say what is told while a command runs: ``-v``, ``-q``, ``--json``."""
    return [
        click.Option(["-v", "--verbose"], count=True, help="Tell more; twice: with tracebacks of faults."),
        click.Option(["-q", "--quiet"], is_flag=True, help="Tell nothing but errors."),
        click.Option(["--json", "as_json"], is_flag=True, help="Progress and summary as JSON lines, also on a terminal."),
    ]


def _home_options() -> Section:
    return Section(
        "Where it goes",
        click.Option(
            ["-j", "--job", "job_file"],
            metavar="FILE",
            help="A job file (TOML or JSON): seeds, settings, outputs, what to take from pages. Options here win. See 'crawl job new'.",
        ),
        click.Option(
            ["-d", "--dir", "folder"],
            type=click.Path(file_okay=True),
            help="The crawl's home: its state and records. An unfinished crawl in it is resumed.  [default: HOST.crawl or JOB.crawl]",
        ),
        click.Option(
            ["-o", "--output", "outputs"],
            multiple=True,
            metavar="PATH",
            help="Also write PATH, in the form that its name says: .jsonl .csv .parquet .sqlite .warc.gz .md/ … ('crawl export --help' "
            "lists all); '-' is standard output (JSON lines). Repeatable.",
        ),
        click.Option(["--overwrite"], is_flag=True, help="Replace an output that exists and is not this crawl's."),
        click.Option(["--fresh"], is_flag=True, help="Start over: delete the crawl in the home first."),
        SettingOption("--record-headers/--no-record-headers", key="store.record_headers", help="Response headers in the records."),
        SettingOption("--record-links/--no-record-links", key="store.record_links", help="Each page's links in the records."),
        SettingOption("--text", key="store.text", type=choice_of("store.text"), help="Each page's main content in the records."),
        SettingOption(
            "--simhash/--no-simhash", key="store.simhash", help="A fingerprint of each page's text, by which reports find near copies."
        ),
        SettingOption("--archive/--no-archive", key="store.archive", help="Keep requests and responses in the home, as WARC."),
    )


def _scope_options() -> Section:
    return Section(
        "What belongs to it",
        click.Option(["-f", "--seeds-file"], metavar="FILE", help="More seeds, one URL a line, # begins a comment; '-' is standard input."),
        SettingOption(
            "--scope",
            key="scope.scope",
            type=choice_of("scope.scope"),
            help="Where links may lead: a seed's host, domain, folder, or anywhere.",
        ),
        SettingOption(
            "--include", key="scope.include", multiple=True, metavar="REGEX", help="Only URLs in which REGEX is found (any of several)."
        ),
        SettingOption("--exclude", key="scope.exclude", multiple=True, metavar="REGEX", help="No URL in which REGEX is found."),
        SettingOption("--depth", key="scope.depth", type=_COUNT, metavar="N", help="At most N links away from a seed."),
        SettingOption("--max-pages", key="scope.max_pages", type=_POSITIVE, metavar="N", help="Stop after N pages."),
        SettingOption(
            "--max-pages-per-host", key="scope.max_pages_per_host", type=_POSITIVE, metavar="N", help="Queue at most N URLs of each host."
        ),
        SettingOption("--max-time", key="scope.max_time", type=Duration(positive=True), help="Stop after this time (90, 10m, 2h)."),
        SettingOption("--sitemaps/--no-sitemaps", key="scope.sitemaps", help="Read the sitemaps that robots.txt names."),
        SettingOption("--traps/--no-traps", key="scope.traps", help="Refuse links that look like sites without end."),
        SettingOption(
            "--near-duplicates",
            key="scope.near_duplicates",
            type=choice_of("scope.near_duplicates"),
            help="What to do with the links of a page that says nearly what another one said.",
        ),
        SettingOption(
            "--requisites/--no-requisites",
            key="scope.requisites",
            help="Fetch what pages need to be shown, too, wherever it lies: styles, scripts, images, fonts.",
        ),
    )


def _politeness_options() -> Section:
    return Section(
        "How politely",
        SettingOption(
            "--delay",
            key="politeness.delay",
            type=Duration(),
            help="Least time between two requests to a host; robots.txt may ask for more.",
        ),
        SettingOption("--per-host", key="politeness.per_host", type=_POSITIVE, metavar="N", help="Requests in flight to one host."),
        SettingOption("--robots/--no-robots", key="politeness.robots", help="Obey robots.txt (RFC 9309)."),
        SettingOption("--nofollow/--no-nofollow", key="politeness.nofollow", help="Obey rel=nofollow and robots meta tags on links."),
        SettingOption("--user-agent", key="politeness.user_agent", metavar="TEXT", help="Who we say we are; add a contact address."),
    )


def _fetch_options() -> Section:
    return Section(
        "How it is fetched",
        SettingOption(
            "--concurrency", key="fetch.concurrency", type=_POSITIVE, metavar="N", help="Requests in flight to all hosts together."
        ),
        SettingOption("--timeout", key="fetch.timeout", type=Duration(positive=True), help="For a whole exchange: name, connection, body."),
        SettingOption("--connect-timeout", key="fetch.connect_timeout", type=Duration(positive=True), help="For the connection alone."),
        SettingOption("--max-body", key="fetch.max_body", type=Size(), help="Largest body as transferred (500k, 10M)."),
        SettingOption("--retries", key="fetch.retries", type=_COUNT, metavar="N", help="More attempts after failures that may pass."),
        SettingOption("--max-redirects", key="fetch.max_redirects", type=_COUNT, metavar="N", help="Redirects in a row."),
        SettingOption(
            "--accept",
            key="fetch.accept",
            multiple=True,
            metavar="TYPE",
            help="Keep only this media type (text/html, image/*). Repeatable.",
        ),
        SettingOption("--header", key="fetch.headers", multiple=True, metavar="'NAME: VALUE'", help="Send this header. Repeatable."),
        *site_options(),
        SettingOption(
            "--cookies/--no-cookies",
            key="fetch.cookies",
            help="Keep cookies and send them back; in memory, so a resumed crawl begins without those it got.",
        ),
        SettingOption(
            "--cookie-file",
            key="fetch.cookie_file",
            metavar="FILE",
            help="Cookies to begin with, in each run anew, in the format of curl and Netscape (cookies.txt); turns cookies on.",
        ),
    )


def _connection_options() -> Section:
    return Section(
        "How it connects",
        SettingOption("--proxy", key="fetch.proxies", multiple=True, metavar="[SCHEME=]URL", help=PROXY_HELP),
        SettingOption(
            "--proxy-password",
            key="fetch.proxy_password",
            metavar="SECRET",
            help="The password of the proxies' user: env:NAME, an environment variable, or file:PATH, a file that holds it.",
        ),
        SettingOption(
            "--no-proxy",
            key="fetch.no_proxy",
            multiple=True,
            metavar="HOST",
            help="Reach this host directly (example.org with its subdomains, example.org:8080, 10.0.0.0/8, *). Repeatable.",
        ),
        SettingOption(
            "--allow-address",
            key="fetch.allow_addresses",
            multiple=True,
            metavar="CIDR",
            help="Let links lead to this address or network although it is not public (192.168.1.7, 10.0.0.0/8). Repeatable.",
        ),
        SettingOption(
            "--insecure",
            key="fetch.insecure",
            multiple=True,
            metavar="HOST",
            help="Do not verify this host's certificate (test.example.org, *.example.org, 127.0.0.1:8443, *). Repeatable.",
        ),
    )


def _process_options() -> Section:
    return Section(
        "How it runs",
        SettingOption(
            "--processes",
            key="service.processes",
            type=click.IntRange(1, 64),
            metavar="N",
            help="Processes that share the hosts, each with a reactor; for many cores and many hosts.",
        ),
        SettingOption("--workers", key="parse.workers", type=_COUNT, metavar="N", help="Processes that parse pages; 0 is the default."),
        SettingOption("--page-time", key="parse.page_time", type=Duration(positive=True), help="Time a page may take to parse."),
        SettingOption(
            "--stop-timeout", key="service.stop_timeout", type=Duration(), help="After Ctrl-C, how long requests in flight may take."
        ),
        SettingOption("--reactor", key="service.reactor", type=choice_of("service.reactor"), help="Twisted's event loop."),
        click.Option(["--max-failures"], type=_COUNT, metavar="N", help="Exit with code 12 when more than N URLs failed."),
        click.Option(
            ["--config", "config_file"],
            type=click.Path(),
            metavar="FILE",
            help="Settings file (TOML); 'crawl config show' lists what it may hold.",
        ),
        click.Option(["--profile"], type=click.Path(), metavar="FILE", help="Write a cProfile of the reactor's thread."),
        *reporting_options(),
    )


def run_sections() -> list[Section]:
    """Return all sections of ``crawl run --help``."""
    return [_home_options(), _scope_options(), _politeness_options(), _fetch_options(), _connection_options(), _process_options()]
