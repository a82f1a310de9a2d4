"""The least Scrapy spider that does what ``crawl run`` does with a page: all links followed, one JSON line with URL, status, title, digest.

scrapy runspider benchmarks/scrapy_spider.py -a start=http://127.0.0.1:8000/index.html -O out.jsonl
"""

import hashlib

from scrapy import Spider
from scrapy.http import HtmlResponse
from scrapy.linkextractors import LinkExtractor


class SiteSpider(Spider):
    name = "site"
    custom_settings = {  # noqa: RUF012 - as Scrapy reads it
        "CONCURRENT_REQUESTS": 64,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 64,
        "DOWNLOAD_DELAY": 0,
        "ROBOTSTXT_OBEY": True,
        "TELNETCONSOLE_ENABLED": False,
        "LOG_LEVEL": "ERROR",
    }

    def __init__(self, start="", **kwargs):
        super().__init__(**kwargs)
        self.start_urls = [start]
        self.links = LinkExtractor(allow_domains=[start.split("/")[2]])

    def parse(self, response, **_):
        html = isinstance(response, HtmlResponse)
        yield {
            "url": response.url,
            "status": response.status,
            "depth": response.meta.get("depth", 0),
            "content_type": response.headers.get("Content-Type", b"").decode("latin-1"),
            "bytes": len(response.body),
            "digest": hashlib.sha256(response.body).hexdigest(),
            "title": response.css("title::text").get() if html else None,
        }
        if html:
            for link in self.links.extract_links(response):
                yield response.follow(link.url)
