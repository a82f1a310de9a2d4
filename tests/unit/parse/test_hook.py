"""Python hooks: what they see, what they make, and that their mistakes are faults of one page."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from crawler.model import PageLink
from crawler.parse.extraction import Extracted, Extractor
from crawler.parse.hook import Hook, HookError
from crawler.url import fingerprint

URL = "https://example.org/a/b.html"
HTML = b"""<html><head><title>T</title><meta property="og:title" content="OG"><meta name="author" content="Ann">
<script type="application/ld+json">{"@type": "Thing", "name": "x"}</script></head>
<body><h1>One</h1><h1>Two</h1><p>text</p><script>no()</script><a href="../c">c</a></body></html>"""


def run(folder: Path, body: str, html: bytes = HTML) -> Extracted:
    """Run a hook whose ``parse(page)`` has this body."""
    path = folder / "hooks.py"
    path.write_text("def parse(page):\n" + "".join(f"    {line}\n" for line in body.splitlines()))
    link = "https://example.org/c"
    return Extractor(json.dumps({"hook": str(path)}).encode()).extract(html, URL, [PageLink(fingerprint(link), link)])


def items(extracted: Extracted) -> list[dict[str, Any]]:
    return [json.loads(item.data) for item in extracted.items]


def test_what_a_hook_sees(tmp_path: Path) -> None:
    seen = """yield {"type": "seen", "of": page.url, "title": page.css("title::text").get(), "h": page.xpath("//h1/text()").getall(),
       "og": page.opengraph, "meta": page.meta["author"], "ld": page.jsonld, "text": page.text, "links": page.links(),
       "join": page.urljoin("x#y"), "html": page.html[:6]}"""
    extracted = run(tmp_path, seen)
    assert extracted.faults == []
    assert items(extracted) == [
        {
            "type": "seen",
            "url": URL,
            "of": URL,
            "title": "T",
            "h": ["One", "Two"],
            "og": {"og:title": "OG"},
            "meta": "Ann",
            "ld": [{"@type": "Thing", "name": "x"}],
            "text": "One Two text c",
            "links": ["https://example.org/c"],
            "join": "https://example.org/a/x",
            "html": "<html>",
        }
    ]


def test_items_and_links(tmp_path: Path) -> None:
    extracted = run(
        tmp_path, 'yield page.item("book", {"a": 1}, b=2)\npage.item("loose")\nyield {"n": 3}\nyield page.link("/new", priority=9)'
    )
    assert items(extracted) == [
        {"type": "book", "url": URL, "a": 1, "b": 2},
        {"type": "loose", "url": URL},
        {"type": "item", "url": URL, "n": 3},
    ]
    assert [link.url for link in extracted.links] == ["https://example.org/c", "https://example.org/new"]
    assert extracted.priorities == [(fingerprint("https://example.org/new"), 9)]


def test_parse_may_return_a_list_or_nothing(tmp_path: Path) -> None:
    assert items(run(tmp_path, 'return [{"n": 1}]')) == [{"type": "item", "url": URL, "n": 1}]
    assert run(tmp_path, "return None").faults == []


@pytest.mark.parametrize(
    ("body", "fault", "made"),
    [
        ('yield {"n": 1}\nraise ValueError("no price\\nhere")', "ValueError: no price here (line 3)", 1),
        ('yield {"n": 1}\nyield page.css("[")', "SelectorSyntaxError: ", 1),
        ('import sys\nyield {"n": 1}\nsys.exit(3)', "SystemExit: 3 (line 4)", 1),
        ('yield 5\nyield {"n": 1}', "parse() yielded int; yield dicts, page.item(…) or page.link(…)", 1),
        ('yield "text"', "parse() yielded str", 0),
        ("return 5", "parse() returned int; it must yield items and links", 0),
        ("return {'n': 1}", "parse() returned dict", 0),
        ('yield page.link("mailto:x@example.org")', "ValueError: not a web address: 'mailto:x@example.org'", 0),
        ('yield page.link("/", priority=500)', "ValueError: priority 500: give a number from -100 to 100", 0),
        ('yield {"type": "my book", "n": 1}', "'my book' is not a name of an item type", 0),
        ("def f(): f()\nf()\nyield {}", "RecursionError", 0),
        ("class Mute(Exception):\n  def __str__(self): raise ValueError\nraise Mute", "Mute: it cannot tell what (line 4)", 0),
    ],
)
def test_a_mistake_is_a_fault_of_this_page(tmp_path: Path, body: str, fault: str, made: int) -> None:
    extracted = run(tmp_path, body)
    assert [rule for rule, _ in extracted.faults] == ["hook"]
    assert fault in extracted.faults[0][1]
    assert len(extracted.items) == made
    assert [link.url for link in extracted.links] == ["https://example.org/c"], "the page's own links stay"


def test_a_child_that_a_hook_forks_does_not_come_back(tmp_path: Path) -> None:
    mine = os.getpid()
    extracted = run(tmp_path, 'import os\nchild = os.fork()\nyield {"child": child}')
    if os.getpid() != mine:
        os._exit(77)  # what the test is about: never reached
    [item] = items(extracted)
    assert os.waitstatus_to_exitcode(os.waitpid(item["child"], 0)[1]) == 0


def test_what_is_no_json_is_a_fault_of_its_type(tmp_path: Path) -> None:
    extracted = run(tmp_path, 'yield {"type": "t", "x": object()}\nyield {"type": "t", "x": 1}')
    assert [item["x"] for item in items(extracted)] == [1]
    assert extracted.faults[0][0] == "t"
    assert "cannot be written as JSON" in extracted.faults[0][1]


def test_what_a_hook_prints_goes_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, 'print("hello")')
    assert (capsys.readouterr().out, "") == ("", "")


def test_a_hook_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_the_hook.py").write_text("NAME = 'beside'\n")
    assert items(run(tmp_path, 'import beside_the_hook\nyield {"n": beside_the_hook.NAME}'))[0]["n"] == "beside"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def parse(page:\n  pass\n", "hooks.py, line 1: SyntaxError: '(' was never closed"),
        ("import json\nimport no_such_module\n", "hooks.py: ModuleNotFoundError: No module named 'no_such_module' (line 2)"),
        ("def other(page): ...\n", "hooks.py: has no function parse(page); write one"),
        ("parse = 3\n", "hooks.py: has no function parse(page)"),
        ("raise SystemExit\n", "SystemExit:  (line 1)"),
    ],
)
def test_a_hook_that_cannot_be_loaded_names_file_and_line(tmp_path: Path, source: str, said: str) -> None:
    path = tmp_path / "hooks.py"
    path.write_text(source)
    with pytest.raises(HookError) as caught:
        Hook(str(path))
    assert said in str(caught.value)


def test_a_hook_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HookError, match="no such file; the path counts from the job file's folder"):
        Hook(str(tmp_path / "hooks.py"))
