"""Extraction rules: what a job file says is to be taken from pages, as data, and every mistake in it by its place.

Nothing here parses a page: that is done in the workers (`crawler.parse.extraction`). The format is told in docs/extraction.md.
"""
