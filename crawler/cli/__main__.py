"""``python -m crawler.cli`` is ``crawl``."""

from crawler.cli import main

if __name__ == "__main__":
    main()
