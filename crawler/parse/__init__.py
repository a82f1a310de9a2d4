"""From a body as it came off the wire to links and metadata, in worker processes.

Theory
------
A page is foreign input to half a million lines of C: it may spin, exhaust memory, or crash what parses it. So it is parsed in
a process that may die. The reactor's side (`pool`) sends a page to a worker over a socket pair, as a length-prefixed frame
(`frames`), and gets a `crawler.model.Parsed` back. The rules, each held by a test:

* A page costs at most itself. When its worker hangs, grows or dies, the page at the head of that worker's queue is the suspect:
  it is tried once more, alone; the second time it gets ``reason=parse``. The pages behind it go back to the front of the queue.
* Nothing from the web is ever unpickled. A worker's answer is msgpack, decoded into a typed struct, within a length limit.
* A worker holds no state that matters. It leaves on its own when its socket closes, so a killed parent leaves no orphan.

Within a worker everything is a pure function: `page.parse_page` runs `decode` (Content-Encoding, bounded), `charset` (the WHATWG
rules), then `html` with `links`, or `sitemap`. None of them raises for what a page contains; deviations that were tolerated are
told in ``Parsed.notes``, and in the record's detail.

The reactor's process never imports lxml or selectolax; it decodes one kind of body itself, robots.txt, which is small. A worker never
imports Twisted.
"""
