"""The least Crawlee program that does what ``crawl run`` does with a page: links of the host followed, a JSON line a page.

python benchmarks/peer_crawlee.py http://127.0.0.1:8000/index.html 64 2000
"""

import asyncio
import hashlib
import json
import logging
import sys
from pathlib import Path

from crawlee import ConcurrencySettings
from crawlee.crawlers import ParselCrawler
from crawlee.storage_clients import MemoryStorageClient


async def main(start: str, parallel: int, limit: int) -> None:
    crawler = ParselCrawler(
        concurrency_settings=ConcurrencySettings(min_concurrency=parallel, max_concurrency=parallel, desired_concurrency=parallel),
        storage_client=MemoryStorageClient(),  # faster than its files
        max_requests_per_crawl=limit or None,
        respect_robots_txt_file=True,
        configure_logging=False,
    )
    with Path("out.jsonl").open("w") as out:  # noqa: ASYNC230 - a line a page, as everybody here

        @crawler.router.default_handler
        async def page(context):
            body = await context.http_response.read()
            record = {
                "url": context.request.url,
                "status": context.http_response.status_code,
                "content_type": context.http_response.headers.get("content-type"),
                "bytes": len(body),
                "digest": hashlib.sha256(body).hexdigest(),
                "title": context.selector.css("title::text").get(),
            }
            out.write(json.dumps(record) + "\n")
            await context.enqueue_links(strategy="same-hostname")

        await crawler.run([start])


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
