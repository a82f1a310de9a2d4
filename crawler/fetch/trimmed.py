"""treq's client without the layers that a crawler has no use for.

`treq.client.HTTPClient.request` wraps its agent anew for each request: in one layer for cookies, which parses the URL again, one for
redirects, and one that decompresses; and it puts the URL together again that it was given. Here a request that asks for none of that goes
straight to the agent; any other goes treq's own way. What comes back is treq's response in both cases.
"""

from __future__ import annotations

from typing import Any, Final

from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from treq.response import _Response
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

_NO_COOKIES: Final = IndexableCookieJar()
_NO_OPTIONS: Final = frozenset({"_stacklevel"})  # which `get` and its like pass on, for warnings


class TrimmedClient(HTTPClient):  # the one class that is extended: its interface is treq's, and grows with it
    """An `HTTPClient` whose `request` follows no redirects, keeps no cookies, decodes no bodies and buffers nothing, unless told to."""

    def __init__(self, agent: IAgent) -> None:
        """Take the agent; what needs more than it goes through treq's layers."""
        self._agent = agent
        self._cookiejar = _NO_COOKIES

    def request(  # type: ignore[override]  # treq's options, whichever they are, pass through
        self, method: str, url: Any, *, headers: Headers | None = None, **options: Any
    ) -> Deferred[_Response]:
        """Send a request as `HTTPClient.request` does. `url` as text has to be ASCII, its scheme http or https."""
        if not options.keys() <= _NO_OPTIONS or not isinstance(url, str):
            answer: Deferred[_Response] = HTTPClient(self._agent).request(method, url, headers=headers, **options)
            return answer
        return self._agent.request(method.encode("ascii"), url.encode("ascii"), headers, None).addCallback(_Response, _NO_COOKIES)
