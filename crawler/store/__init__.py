"""The crawl's home and its outputs.

A home is a folder: ``lock`` (held while a process crawls), ``crawl.sqlite`` (what is known of every URL, the queue,
counters, the committed length of every file) and ``records.jsonl`` (one record a line, in the order of their commits).

Order of durability, per batch: append to every file, fsync every file, then one SQLite transaction with outcomes, new
links, counters and the files' lengths. A crash before the transaction leaves files longer than committed: `home`
cuts them back. After it, all of the batch counts.
"""
