"""A crawl's logs turned into what people use: tables, files a page, archives, databases, objects.

An export reads a `Source` (`crawler.export.source`) and writes one target; `crawler.export.formats` lists what can be written and how a
target is named. Exports know no home and no reactor: `crawler.cli` opens the one and does without the other. A target is whole or not
there (`crawler.export.places`).
"""
