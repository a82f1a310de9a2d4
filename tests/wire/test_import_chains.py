"""Style sheets that import one another without end."""

from __future__ import annotations

from pathlib import Path

from small_crawl import crawl
from small_web import Reply, html, small_web


def sheet(number: int) -> Reply:
    return Reply(200, f"@import '{number + 1}.css';".encode(), {"content-type": "text/css"})


async def test_sheets_that_import_sheets_come_to_an_end(tmp_path: Path) -> None:
    chain = {f"/{n}.css": lambda _, n=n: sheet(n) for n in range(30)}
    async with small_web({"/": html(head='<link rel="stylesheet" href="/0.css">'), **chain}) as web:
        result, records = await crawl(tmp_path / "home", [web.url()], scope__requisites=True, fetch__max_redirects=5)
    assert sorted(record.url for record in records) == sorted([web.url(), *(web.url(f"/{n}.css") for n in range(6))])
    assert result.snapshot.refused == {"trap:imports": 1}
