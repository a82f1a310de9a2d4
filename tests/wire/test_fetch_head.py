"""HEAD: what is announced does not come, and the connection is as good as before."""

from __future__ import annotations

from scripted_server import serving
from test_fetch_answers import HEAD, make_fetcher

from crawler.model import Fetched


async def test_head_has_no_body_whatever_is_announced_and_the_connection_is_used_again():
    announced = [HEAD + b"Content-Length: 99999999999\r\n\r\n"]
    with serving({"/large": announced, "/gone": [b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n"]}) as server:
        fetcher = make_fetcher(server.url())
        try:
            large = await fetcher.fetch(server.url("/large"), method="HEAD")
            gone = await fetcher.fetch(server.url("/gone"), method="HEAD")
        finally:
            await fetcher.close()
    assert isinstance(large, Fetched)
    assert (large.status, large.body, large.header("content-length")) == (200, b"", "99999999999")
    assert isinstance(gone, Fetched)
    assert (gone.status, gone.body) == (404, b"")
    (conversation,) = server.conversations
    assert [request.split(b" ")[0] for request in conversation.requests] == [b"HEAD", b"HEAD"]
