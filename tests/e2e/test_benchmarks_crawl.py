"""The benchmarks of whole crawls, in a small size: they run, count what they say, judge it, and write it down. No speed is judged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from conftest import lacking
from sites.nginx import nginx_program

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"
PAGES = 526
"""Pages of python3.11-doc that are linked."""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.fixture
def without_peers(tmp_path: Path) -> dict[str, str]:
    """An environment in which no peer is found."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "openssl").symlink_to(shutil.which("openssl") or "/usr/bin/openssl")
    return os.environ | {"PATH": str(programs), "CRAWL_PEERS": str(tmp_path / "no" / "peers")}


def run(name: str, *options: object, env: dict[str, str] | None = None) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def need_nginx(site: str = "") -> None:
    if nginx_program() is None:
        lacking("nginx", "nginx-light")
    if site and not (Path("/usr/share/doc") / site).is_dir():
        lacking(site, site.replace("python3.11/html", "python3.11-doc"))


def test_crawl_names_whoever_is_missing_and_writes_its_section(without_peers: dict[str, str], tmp_path: Path) -> None:
    need_nginx("python3.11/html")
    file = tmp_path / "docs" / "performance.md"
    file.parent.mkdir()
    file.write_text("# Performance\n\n<!-- begin crawl-python3.11-doc -->\nold\n<!-- end crawl-python3.11-doc -->\n\nthe end\n")
    told = run("crawl.py", "--rounds", 1, "--site", "python3.11-doc", "--json", "--write", file, env=without_peers)
    found: dict[str, Any] = json.loads(told)
    assert set(found["missing"]) >= {"Crawlee (Python)", "spider-rs (Rust)", "wget2 (C)"}
    ours = found["crawlers"]["crawl"]
    assert ours["pages"] == PAGES
    assert ours["rate"] > 10
    assert 0 < ours["cpu_main"] < ours["cpu"]
    assert ours["resident"] >= ours["share"] >= 0
    assert 0 < ours["lag"] < 5
    assert "apt-get install wget2" in found["table"]
    text = file.read_text()
    assert "old" not in text
    assert text.index("## A whole site: python3.11-doc") < text.index("the end") < text.index("Machine: ")
    assert "![A whole site: python3.11-doc](plots/crawl-python3.11-doc.svg)" in text
    assert {path.suffix for path in (file.parent / "plots").iterdir()} == {".svg"}


def test_crawl_judges_by_the_medians() -> None:
    import crawl

    ours = [crawl.Round(100, rate, rate, 800e-6, 240e-6, 300, 200, 0.01) for rate in (1.0, 3600.0, 4000.0)]
    found = {
        "crawl": crawl.medians(ours),
        "Scrapy": crawl.Round(100, 100.0, 100.0, 0.01, 0.01, 299, 299, None),
        "spider-rs (Rust)": crawl.Round(100, 1900.0, 1900.0, 0.001, 0.001, 1, 1, None),
    }
    told = crawl.verdicts(found, 0)
    assert found["crawl"].rate == 3600
    assert [verdict.met for verdict in told] == [True, False, False, True, True, True, False, True]
    assert "36.0 times Scrapy" in told[0].text
    found["Scrapy"] = found["Scrapy"]._replace(early=150.0)
    limited = crawl.verdicts(found, 2000)
    assert not limited[0].met
    assert "24.0 times Scrapy in pages/s, over pages 200 to 2000" in limited[0].text
    assert limited[2:] == told[2:]
    assert "Crawlee (Python) is missing" in told[1].text
    assert "1.9 times spider-rs" in told[2].text


def test_pages_are_counted_once_and_errors_not_at_all(tmp_path: Path) -> None:
    import crawl

    log = tmp_path / "access.log"
    old = "5.0 0.1 200 GET /old.html h text/html\n"
    log.write_text(
        f"{old}9.0 0.5 200 GET /robots.txt h text/plain\n10.0 0.5 200 HEAD /a.html h text/html\n11.0 0.5 200 GET /a.html h text/html\n"
        "12.0 0.5 200 GET /a.html h text/html\n13.0 0.5 404 GET /b.html h text/html\n14.0 0.5 200 GET /c.html h text/html\n"
    )
    assert crawl.pages_in(log, len(old)) == (8.5, [11.0, 14.0])


def test_an_early_rate_is_that_of_the_pages_within_its_window() -> None:
    import crawl

    times = [0.0, 1.0, 2.0, 2.5, 3.0, 100.0]
    assert crawl.rate_within(times, 2, 4) == 2.0
    assert crawl.rate_within(times, 0, 50) == 0.05
    assert crawl.rate_within([1.0], 0, 50) == 0.0


def test_who_finds_too_little_is_not_compared() -> None:
    import crawl
    import peers

    ours, lost = crawl.Round(1000, 2000.0, 1500.0, 1e-3, 1e-4, 1, 1, 0.01), crawl.Round(1, 9e9, 9e9, 1.0, 1.0, 1, 1, None)
    slow = crawl.Round(100, 50.0, 30.0, 1e-2, 1e-2, 1, 1, None)
    known = [peers.Peer(name, "1.0", "", lambda *_: [], "all", True) for name in ("crawl", "spider-rs (Rust)", "Scrapy")]
    table = crawl.as_table(known, {"crawl": [ours], "spider-rs (Rust)": [lost], "Scrapy": [slow]}, 100).splitlines()
    assert [cell.strip() for cell in table[3].split("|")][2:5] == ["1", "too few", ""]
    assert [cell.strip() for cell in table[4].split("|")][2:7] == ["100", "50", "50-50", "40.0", "50.0"]
    drawn = crawl.as_plots("site", {"crawl": ours, "spider-rs (Rust)": lost, "Scrapy": slow})
    assert ["spider-rs" in plot for plot in drawn.values()] == [False] * 3


def test_small_pages_are_all_crawled() -> None:
    need_nginx()
    found = json.loads(run("small_pages.py", "--rounds", 1, "--pages", 300, "--json"))
    assert found["pages"] == 300
    assert 0 < found["cpu_main"] < found["cpu"]
    import small_pages

    assert len(small_pages.page(7, 300)) == small_pages.SIZE
    assert small_pages.page(7, 300).count("<a href=") == small_pages.LINKS


def run_part(script: str, pages: int, env: dict[str, str]) -> Any:
    """Run a benchmark that `script` has made smaller, once, over the first `pages` pages of Python's documentation."""
    command = [sys.executable, "-c", script, "--rounds", "1", "--pages", str(pages), "--site", "python3.11-doc", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env | {"PYTHONPATH": str(BENCHMARKS)})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_features_are_measured_beside_the_defaults(without_peers: dict[str, str]) -> None:
    need_nginx("python3.11/html")
    script = "import features as f; f.FEATURES = tuple(one for one in f.FEATURES if one.tls or '.warc' in str(one.options)); f.main()"
    found = run_part(script, 50, without_peers)
    assert [round(one["pages"]) for one in found["features"].values()] == [50, 50, 50]
    assert list(found["features"])[1:] == ["WARC", "TLS"]


def test_outputs_are_measured_beside_none(without_peers: dict[str, str]) -> None:
    need_nginx("python3.11/html")
    script = "import outputs as o; o.OUTPUTS = tuple(one for one in o.OUTPUTS if one.rules or one.name == 'Parquet'); o.main()"
    found = run_part(script, 20, without_peers)
    assert list(found["outputs"]) == ["no output", "Parquet", "items of one rule, JSON lines"]
    assert [0 < one["main"] < one["cpu"] for one in found["outputs"].values()] == [True] * 3


def test_execution_models_answer_everything_and_name_what_is_missing(without_peers: dict[str, str]) -> None:
    found = json.loads(
        run(
            "execution_models.py",
            "--rounds",
            1,
            "--requests",
            1,
            20,
            "--seconds",
            0.2,
            "--longest",
            1,
            "--addresses",
            2,
            "--json",
            env=without_peers,
        )
    )
    assert {"reactor 20", "reactor-twisted 20"} <= set(found["found"])
    assert "sequence 20" not in found["found"]
    for key, one in found["found"].items():
        assert one["answered"] == int(key.split()[1])
        assert one["seconds"] >= 0.2
    assert ("sequence 1" in found["found"]) is (not found["missing"])


def test_start_up_is_timed_to_the_first_request(without_peers: dict[str, str]) -> None:
    found = json.loads(run("start_up.py", "--rounds", 1, "--json", env=without_peers))
    times = {name: one["seconds"] for name, one in found["starts"].items()}
    assert 0 < times["python -c pass"] < times["crawl --version"] < times["crawl run, to its first request"]
    assert len(found["verdicts"]) == 2


def test_all_runs_what_is_asked_for_and_names_what_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import all as everything

    file = tmp_path / "performance.md"
    found = [
        everything.Benchmark("versions", "peers.py", title="Nothing printed"),
        everything.Benchmark("broken", "no_such_file.py", title="Broken"),
    ]
    monkeypatch.setattr(sys, "argv", ["all.py", "--write", str(file)])
    with pytest.raises(SystemExit, match=r"^broken ended with 2$"):
        everything.main(found)
    assert "## Nothing printed" in file.read_text()
    assert "Broken" not in file.read_text()
    monkeypatch.setattr(sys, "argv", ["all.py", "--write", str(file), "--skip", "broken"])
    everything.main(found)
    assert file.read_text().count("## Nothing printed") == 1


def test_every_benchmark_of_all_exists_and_has_a_place_in_the_document() -> None:
    import all as everything

    text = everything.DOCUMENT.read_text()
    for benchmark in everything.BENCHMARKS:
        assert (BENCHMARKS / benchmark.command.split()[0]).is_file()
        assert f"<!-- begin {benchmark.name} -->" in text


def test_plots_are_well_formed_and_keep_proportions() -> None:
    import plots

    bars = ET.fromstring(plots.bars("A & B", "note", [plots.Bar("<ours>", 10.0, "10", ours=True), plots.Bar("theirs", 5.0, "5")]))
    rects = [rect for rect in bars.iter("{http://www.w3.org/2000/svg}rect") if rect.get("class") in ("ours", "theirs")]
    assert float(rects[0].attrib["width"]) == pytest.approx(2 * float(rects[1].attrib["width"]))
    drawn = ET.fromstring(plots.curves("Curves", "note", {"a": [(1, 1), (10, 10), (100, 100)], "b": [(1, 100)]}, across="x", up="y"))
    a, b = drawn.iter("{http://www.w3.org/2000/svg}polyline")
    first, middle, last = (tuple(map(float, point.split(","))) for point in a.attrib["points"].split())
    assert middle == pytest.approx(((first[0] + last[0]) / 2, (first[1] + last[1]) / 2))
    assert b.attrib["points"] == f"{first[0]:.1f},{last[1]:.1f}"
    with pytest.raises(ValueError, match="positive"):
        plots.curves("Curves", "note", {"a": [(0, 1)]}, across="x", up="y")


def test_table_aligns_its_columns() -> None:
    import document

    assert document.table(["a", "bb"], [["ccc", "1"]]) == "| a   | bb |\n|-----|---:|\n| ccc |  1 |"
