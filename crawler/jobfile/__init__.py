"""Job files: what one crawl is to do, in TOML or JSON (docs/jobs.md).

`read.read_job_file` reads one and names every mistake in it by line and key; `schema.job_schema` describes them for editors. `shapes`
checks values against the types of `crawler.config`, `settings` what types cannot say, `lines` finds the line of a key; extraction rules
are read by `crawler.extract`.
"""
