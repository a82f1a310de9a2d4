"""What features cost: CPU time a page with each switched on, or off, beside a crawl with the defaults.

    apt-get install nginx-light rust-doc openssl
    python benchmarks/features.py --rounds 5 --pages 5000

All crawl the first `--pages` pages of the same site in turns. What a feature costs is the median over the rounds of the difference to the
crawl with defaults in the same round.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

import document  # noqa: E402
import peers  # noqa: E402
import plots  # noqa: E402
from crawl import JUDGED, MICROSECOND, SITES, Round, crawl_once, medians  # noqa: E402
from document import Section  # noqa: E402
from sites.nginx import Nginx, free_port  # noqa: E402


class Feature(NamedTuple):
    """What is switched, and the options that do it."""

    name: str
    options: Sequence[str] = ()
    tls: bool = False


DEFAULTS = Feature("defaults (records in the home, robots.txt)")
FEATURES = (
    Feature("a JSON lines file besides", ("-o", "out.jsonl")),
    Feature("a CSV file besides", ("-o", "out.csv")),
    Feature("headers in the records", ("--record-headers",)),
    Feature("links in the records", ("--record-links",)),
    Feature("WARC", ("-o", "out.warc.gz")),
    Feature("extraction of text", ("--text", "text")),
    Feature("cookies", ("--cookies",)),
    Feature("TLS", ("--insecure", "127.0.0.1"), tls=True),
    Feature("without robots.txt", ("--no-robots",)),
)
COOKIE = ' add_header Set-Cookie "visit=1; Path=/";'


def make_certificate(folder: Path) -> bool:
    """Make a key and a certificate for 127.0.0.1; return whether there is a program that can."""
    if shutil.which("openssl") is None:
        return False
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return True


def measure(features: Sequence[Feature], nginx: Nginx, tls_port: int, arguments: argparse.Namespace) -> dict[Feature, list[Round]]:
    """Crawl with each feature in turns."""
    rounds: dict[Feature, list[Round]] = {feature: [] for feature in features}
    for _ in range(arguments.rounds):
        for feature in features:
            start = f"https://127.0.0.1:{tls_port}/index.html" if feature.tls else f"{nginx.url}index.html"
            one = crawl_once(peers.crawl(feature.options), start, nginx.log, arguments.pages, arguments.timeout)
            rounds[feature].append(one)
            print(f"{feature.name}: {one.cpu / MICROSECOND:.0f} µs CPU a page", file=sys.stderr, flush=True)
    return rounds


def differences(rounds: dict[Feature, list[Round]], feature: Feature) -> tuple[float, float]:
    """Return what a feature costs a page, in CPU seconds of all processes and of the main process."""
    pairs = list(zip(rounds[feature], rounds[DEFAULTS], strict=True))
    return statistics.median(a.cpu - b.cpu for a, b in pairs), statistics.median(a.cpu_main - b.cpu_main for a, b in pairs)


def section(rounds: dict[Feature, list[Round]], left_out: Sequence[str], arguments: argparse.Namespace) -> Section:
    rows, drawn = [], []
    for feature, seen in rounds.items():
        one, costs = medians(seen), differences(rounds, feature)
        told = [f"{seconds / MICROSECOND:+.0f} µs" if feature is not DEFAULTS else "" for seconds in costs]
        absolute = [f"{one.cpu / MICROSECOND:.0f} µs", f"{one.cpu_main / MICROSECOND:.0f} µs"]
        rows.append([feature.name, f"{one.rate:.0f}", absolute[0], told[0], absolute[1], told[1]])
        drawn.append(plots.Bar(feature.name.partition(" (")[0], one.cpu, absolute[0], feature is DEFAULTS))
    rows += [[text, "", "", "", "", ""] for text in left_out]
    header = ["", "pages/s", "CPU a page", "more", "main process", "more"]
    how = (
        f"The first {arguments.pages} pages of {arguments.site}, medians of {arguments.rounds} rounds in turns (`benchmarks/features.py`); "
        "starting the program is in all of them. The differences are the medians of those within a round; one or two per cent are noise."
    )
    plot = plots.bars("What features cost", "CPU time a page, all processes, medians; shorter is better", drawn)
    result = {"features": {feature.name: medians(seen)._asdict() for feature, seen in rounds.items()}, "missing": left_out}
    return Section("features", "Cost of features", how, document.table(header, rows), {"features": plot}, [], result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    document.add_options(parser, rounds=5)
    parser.add_argument("--site", choices=SITES, default=JUDGED)
    parser.add_argument("--pages", type=int, default=5000)
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds after which a crawl is given up")
    arguments = parser.parse_args()
    if not (SITES[arguments.site] / "index.html").is_file():
        raise SystemExit(f"{SITES[arguments.site]} is missing: apt-get install {arguments.site}")
    with tempfile.TemporaryDirectory() as name:
        folder, port, server, left_out = Path(name), free_port(), COOKIE, []
        if make_certificate(folder):
            server = f"listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;{COOKIE}"
        else:
            left_out = ["TLS is missing: apt-get install openssl"]
        features = [feature for feature in FEATURES if not (left_out and feature.tls)]
        nginx = Nginx(SITES[arguments.site], folder / "nginx", server)
        try:
            rounds = measure([DEFAULTS, *features], nginx, port, arguments)
        finally:
            nginx.stop()
    document.deliver(section(rounds, left_out, arguments), arguments)


if __name__ == "__main__":
    main()
