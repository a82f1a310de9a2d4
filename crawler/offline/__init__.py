"""Programs that run as processes of their own, beside the crawl: they may load parsers, and what they do may take its time."""
