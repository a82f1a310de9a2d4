"""A report as one HTML file that stands for itself: it loads nothing from anywhere, is light or dark as its reader is, and prints well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

from crawler.report import wording
from crawler.report.markup import Cell, Markup, document, figure, link, links, paragraph, section, table, text
from crawler.report.model import Bin, Copies, Page, ReportModel
from crawler.report.plots import Plots
from crawler.report.wording import count, milliseconds, plural, size

_SEEDS_SHOWN: Final = 20
_TO_THE_NEXT: Final = " (each bar: from its number to the next one's)"
_STATES: Final = {
    "running": "still running: the figures are those of the moment when this report was made",
    "stopped": "stopped before its end",
    "finished": "finished",
}

Section = Callable[[ReportModel, Plots], str]


def render_html(model: ReportModel) -> str:
    """Return the report."""
    plots = Plots()
    title = f"Crawl of {model.about.seeds[0]}" if model.about.seeds else "Crawl"
    parts = [(key, heading, render(model, plots)) for key, heading, render in _SECTIONS]
    shown = [(key, heading, part) for key, heading, part in parts if part]
    contents = "".join(f'<li><a href="#{key}">{escape(heading)}</a></li>' for key, heading, _ in shown)
    body = "".join(section(key, heading, part) for key, heading, part in shown)
    return document(title, f'<main>\n{_top(model, title)}<nav aria-label="Contents"><ul>{contents}</ul></nav>\n{body}</main>\n')


def _top(model: ReportModel, title: str) -> str:
    about = model.about
    when = f", {_moment(model.first_fetch)} to {_moment(model.last_fetch)} UTC" if model.first_fetch else ""
    state = _STATES.get(about.state, about.state) + (f", {plural(about.queued, 'URL')} left" if about.queued else "")
    tiles = [
        (count(model.outcomes.get("fetched", 0)), "URLs fetched"),
        (count(model.links.broken_count), "broken links"),
        (count(model.outcomes.get("failed", 0)), "URLs failed"),
        (count(model.outcomes.get("redirected", 0)), "redirects"),
        (count(model.copy_pages), "exact copies"),
        (size(model.bytes), "of content"),
    ]
    items = "".join(f"<li><strong>{value}</strong>{name}</li>" for value, name in tiles)
    stands = paragraph(f"{state[:1].upper()}{state[1:]}{when}", "faint")
    return f'<h1>{escape(title)}</h1>\n{stands}<ul class="tiles">{items}</ul>\n'


def _about(model: ReportModel, plots: Plots) -> str:  # noqa: ARG001
    about = model.about
    rows: list[tuple[str, Cell]] = [
        ("Began at", links(about.seeds[:_SEEDS_SHOWN], len(about.seeds))),
        ("Kept in", about.home),
        ("State", _STATES.get(about.state, about.state)),
        ("URLs with an outcome", count(model.urls)),
        ("URLs left", count(about.queued)),
        ("Requests made again", count(about.retries)),
        ("Time spent, all runs", wording.seconds(about.elapsed)),
    ]
    facts = table("The crawl", ["What", "Value"], rows)
    settings = table(
        "Settings that differ from the defaults", ["Setting", "Value"], [(key, _setting(value)) for key, value in about.settings.items()]
    )
    limits = "".join(paragraph(f"Beyond what a report keeps in mind: {said}.", "faint") for said in model.limits)
    return facts + settings + limits


def _outcomes(model: ReportModel, plots: Plots) -> str:
    named = {wording.OUTCOMES.get(name, name): number for name, number in model.outcomes.items()}
    statuses = dict(sorted(model.statuses.items()))
    pair = figure("Outcomes", plots.bars("URLs by outcome", named)) + figure(
        "HTTP statuses", plots.bars("Answers by HTTP status", statuses)
    )
    reasons = [(wording.REASONS.get(name, name), name, count(number)) for name, number in model.reasons.items()]
    return _pair(pair) + table("Why URLs were not fetched", ["Reason", "As records name it", "URLs"], reasons, numbers=[2])


def _broken(model: ReportModel, plots: Plots) -> str:  # noqa: ARG001
    found = model.links
    said = [paragraph(_whose_pages(model))]
    if not found.broken:
        said = ['<p class="good">No broken link was found.</p>\n', *said]
    if not found.fragments_checked:
        said.append(
            paragraph(
                "Whether pages have the parts that links name (#part) was not checked: that needs store.record_anchors = true.", "faint"
            )
        )
    if found.not_checked:
        which = ", ".join(f"{count(number)}: {wording.REASONS.get(reason, reason)}" for reason, number in found.not_checked.items())
        said.append(paragraph(f"URLs that may be good or broken ({which}).", "faint"))
    rows = [
        (
            link(broken.url),
            broken.status,
            wording.why(broken),
            links(broken.pages, broken.page_count) if broken.pages else _origin(broken.via),
        )
        for broken in found.broken
    ]
    return "".join(said) + table("Broken links", ["Link", "Status", "Why", "On"], rows, numbers=[1]) + _more(len(rows), found.broken_count)


def _whose_pages(model: ReportModel) -> str:
    if model.links.all_pages:
        return "Each with all pages that hold it." if model.links.broken else ""
    return (
        "Each with the page that named it first: links were not recorded (store.record_links = true records them, and all pages are told)."
    )


def _origin(via: str) -> str:
    return {"seed": "(the crawl began there)", "sitemap": "(a sitemap)"}.get(via, f"({via})")


def _redirects(model: ReportModel, plots: Plots) -> str:
    if not model.redirects:
        return ""
    plot = figure("Redirects by status", plots.bars("Redirects by HTTP status", model.redirect_statuses))
    rows = [
        (link(redirect.chain[0]), links(redirect.chain[1:], ordered=True), len(redirect.chain) - 1, _end(redirect.end, redirect.status))
        for redirect in model.redirects
    ]
    caption = "Redirects, the longest chains first"
    return _pair(plot) + table(caption, ["From", "To", "Hops", "What is there"], rows, numbers=[2]) + _more(len(rows), model.redirect_count)


def _end(end: str, status: int | None) -> str:
    said = {"loop": "a circle", "not crawled": "not crawled"}.get(end) or wording.OUTCOMES.get(end, end)
    return f"{said} ({status})" if status is not None else said


def _speed(model: ReportModel, plots: Plots) -> str:
    plot = figure(
        f"Time to a whole answer{_TO_THE_NEXT}",
        plots.histogram("URLs by the time of their exchange", model.times, lambda found: _short_time(found.start)),
    )
    return plot + _pages("The slowest URLs", model.slowest)


def _sizes(model: ReportModel, plots: Plots) -> str:
    plot = figure(
        f"Size of contents{_TO_THE_NEXT}",
        plots.histogram("URLs by the size of their content", model.sizes, lambda found: size(found.start)),
    )
    return plot + _pages("The largest contents", model.largest)


def _pages(caption: str, pages: Sequence[Page]) -> str:
    rows = [(link(page.url), page.title, milliseconds(page.elapsed_ms), size(page.bytes)) for page in pages]
    return table(caption, ["URL", "Title", "Time", "Size"], rows, numbers=[2, 3])


def _copies(model: ReportModel, plots: Plots) -> str:  # noqa: ARG001
    said = (
        f"{plural(model.copy_pages, 'URL')} have the same content as another one."
        if model.copy_groups
        else "No two URLs have the same content."
    )
    rows = [(links(group.urls, group.count), count(group.count), size(group.bytes)) for group in model.copies]
    exact = table("Exact copies, by digest", ["URLs", "How many", "Size of each"], rows, numbers=[1, 2])
    return paragraph(said) + exact + _more(len(rows), model.copy_groups) + _near(model)


def _near(model: ReportModel) -> str:
    if model.near is None:
        return paragraph("Pages that are nearly the same were not looked for: that needs --simhash.", "faint")
    if not model.near:
        return paragraph("No two pages say nearly the same.")
    rows = [_near_row(group) for group in model.near]
    return table("Pages that say nearly the same, by SimHash", ["URLs", "How many"], rows, numbers=[1]) + _more(
        len(rows), model.near_groups
    )


def _near_row(group: Copies) -> tuple[Cell, Cell]:
    return links(group.urls, group.count), count(group.count)


def _depths(model: ReportModel, plots: Plots) -> str:
    return figure("Links away from a start", plots.histogram("URLs by depth", model.depths, _depth))


def _depth(found: Bin) -> str:
    return str(found.start) if found.end == found.start + 1 else f"{found.start}+"


def _kinds(model: ReportModel, plots: Plots) -> str:
    pair = figure("Content types", plots.bars("URLs by content type", model.content_types))
    pair += figure("Languages, as pages say", plots.bars("Pages by language", model.languages))
    return _pair(pair)


def _hosts(model: ReportModel, plots: Plots) -> str:  # noqa: ARG001
    rows = [
        (host.name, count(host.urls), count(host.fetched), count(host.failed), size(host.bytes), milliseconds(host.mean_ms))
        for host in model.hosts
    ]
    columns = ["Host", "URLs", "Fetched", "Failed", "Content", "Mean time"]
    return table("Hosts", columns, rows, numbers=[1, 2, 3, 4, 5]) + _more(len(rows), model.host_count)


def _refused(model: ReportModel, plots: Plots) -> str:  # noqa: ARG001
    rules = [(rule, count(number)) for rule, number in _ranked(model.about.refused).items()]
    denied = [(link(url.url), wording.REASONS.get(url.reason, url.reason), url.detail, link(url.referrer or "")) for url in model.denied]
    caption = "Links that were not followed, by the rule that decided"
    shown = table(caption, ["Rule", "Links"], rules, numbers=[1])
    shown += table("URLs that were not asked for, or whose answer was not wanted", ["URL", "Why", "Detail", "First named by"], denied)
    return shown + _more(len(denied), model.denied_count)


def _extraction(model: ReportModel, plots: Plots) -> str:  # noqa: ARG001
    items = [(name, count(number)) for name, number in _ranked(model.about.items).items()]
    faults = [(name, count(number)) for name, number in _ranked(model.about.faults).items()]
    shown = table("Items taken from pages", ["Type", "Items"], items, numbers=[1])
    return shown + table("Rules that failed", ["Rule", "Times"], faults, numbers=[1])


_SECTIONS: Final[tuple[tuple[str, str, Section], ...]] = (
    ("outcomes", "Outcomes", _outcomes),
    ("broken", "Broken links", _broken),
    ("redirects", "Redirects", _redirects),
    ("duplicates", "Duplicates", _copies),
    ("speed", "Speed", _speed),
    ("sizes", "Sizes", _sizes),
    ("depth", "Depth", _depths),
    ("kinds", "Content", _kinds),
    ("hosts", "Hosts", _hosts),
    ("refused", "What was left alone", _refused),
    ("items", "Items", _extraction),
    ("about", "About this crawl", _about),
)


def _pair(figures: str) -> str:
    """Return plots that stand beside each other where there is room."""
    return f'<div class="pair">{figures}</div>\n' if figures else ""


def _more(shown: int, total: int) -> str:
    return paragraph(f"and {count(total - shown)} more", "faint") if total > shown else ""


def _short_time(value: int) -> str:
    return f"{value} ms" if value < 1000 else f"{value / 1000:.0f} s"


def _moment(value: str | None) -> str:
    return (value or "").replace("T", " ").partition(".")[0]


def _setting(value: object) -> Markup:
    if isinstance(value, Mapping):
        value = ", ".join(f"{key}: {item}" for key, item in value.items())
    elif isinstance(value, list):
        value = ", ".join(map(str, value))
    elif isinstance(value, bool):
        value = "yes" if value else "no"
    return Markup(text(str(value)))


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if number}
