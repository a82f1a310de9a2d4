"""Archives: what was sent and received, as WARC 1.1 records (ISO 28500:2017), and their index, as CDXJ.

`records` makes the records, `heads` what a record keeps of an HTTP head, `cdxj` the lines of the index and their keys: bytes in, bytes
out. `segments` knows the names of an archive's files, `reading` reads answers back. Parse workers make the records of each page, since
compressing is the work; `crawler.store.archive` appends them to the segments of a crawl's home; `crawler.export` makes files to hand
on of those.
"""
