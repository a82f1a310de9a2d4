"""Crawl: a concurrent web crawler on Twisted and treq, exact across kill -9.

Read ``docs/architecture.md`` first, then ``crawler/visit.py``: the path of one URL.
This package imports nothing at import time, so that a parse worker starts without Twisted.
"""

__version__ = "0.1.0"
