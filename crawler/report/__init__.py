"""What a crawl has found, summed up for people and for programs.

`model` says what a report holds; `summary.summarise` reads it from the records; `html`, `sheet` (CSV) and `junit` render it, and JSON is
the model itself. `links` finds what is broken and which pages lead there: it is all of ``crawl check``, too.

Records are read several times, never kept: what is kept of them has limits, each a constant beside the code that holds to it, and a report
says where one was reached.
"""
