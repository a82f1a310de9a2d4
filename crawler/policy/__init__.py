"""Policy: what may be fetched, when, and what an answer means. All of it is pure.

Nothing here opens a file or a socket, knows a reactor, or reads a clock: the time comes in as a number (`wall_now`,
seconds since the epoch, where a date or an expiry is meant; `now`, monotonic seconds, everywhere else). What the web does
wrong comes in and goes out as a value.

A URL meets the rooms of this floor in this order:

1. **The door** (`admit`), when it is found. Seeds, links, redirects, refreshes and sitemap entries pass here and nowhere
   else: `scope` (does it belong to this crawl?), `traps` (does it look endless?), redirects in a row, and depth as the last
   question, so that "too deep" means "welcome otherwise": a shorter path found later lets it in. The first refusing rule is
   the decisive one and its name is what gets counted; a name never contains a URL.
2. **Politeness** (`politeness`), when it waits: which host may be asked next, and when.
3. **The robots gate** (`robots`, which reads the file with `robots_rules`), before it is fetched: RFC 9309. An origin whose
   robots.txt is unknown is asked for that first. A file that cannot be had forbids everything; one that does not exist
   forbids nothing.
4. **Status** (`status`), when the answer is there: exactly one outcome, with a reason from a closed set.
5. **Retry** (`retry`): whether the answer deserves another attempt, and how long the URL or its whole host should be left alone.
6. **Directives** (`directives`), when it was parsed: what X-Robots-Tag and meta robots say about its links.

The rules of a name (`scope:host`, `exclude:PATTERN`, `trap:path_depth`, `depth`, …) are part of the interface: users see them
in the summary and in ``crawl why``.
"""
