"""Session ids in URLs: each page that carries one exists as often as it is visited, which is a trap of any size.

A link with a session id is refused, and the same URL without it takes its place: so the page is fetched once, the refusal is counted
and `crawl why` explains it. What a *redirect* leads to keeps its session id: a server that insists on one sends the client there, and
to take it off again would lose the page (ASP.NET redirects `/a` to `/(S(…))/a`). The same holds for seeds, which somebody asked for.

Only values that look like session ids count: `sid=15` is a story's number in many programs, `s=` a search. The names and lengths are
those of PHP, Java servlets, ASP, ASP.NET, ColdFusion, phpBB, vBulletin, osCommerce and Zen Cart; Heritrix takes off the same.
"""

from __future__ import annotations

import re
from typing import Final

_IN_PATH: Final = re.compile(r";(?:jsessionid|phpsessid|sid)=[^/?;]*|/\((?:[ASFX]\([0-9A-Za-z_-]{24,}\))+\)(?=/)", re.I)
_IN_QUERY: Final = re.compile(
    r"(?<=[?&])(?:jsessionid=[^&]*"
    r"|phpsessid=[0-9a-z,-]{16,}"
    r"|aspsessionid[a-z]{8}=[a-z]{24}"
    r"|cfid=[^&]*&cftoken=[^&]*"
    r"|(?:sid|sess_?id|session_?id|oscsid|zenid)=(?:[0-9a-f]{32}|[0-9a-z]{26})"
    r"|s=[0-9a-f]{32})(?:&|$)",
    re.I,
)


def without_session(url: str) -> str:
    """Return canonical `url` without the session ids in it: canonical, too, and `url` itself when there is none."""
    if "?" not in url and ";" not in url and "(" not in url:
        return url
    path, mark, query = url.partition("?")
    if ";" in path or "(" in path:
        path = _IN_PATH.sub("", path)
    if "=" in query:
        rest, count = _IN_QUERY.subn("", mark + query)
        query = rest[1:].removesuffix("&") if count else query
    return f"{path}?{query}" if query else path
