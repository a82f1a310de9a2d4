"""One request, one answer: what a URL gave, as a value.

`client.Fetcher` is the door; behind it one fetch passes through these, each in a file of its own:

1. `dns` resolves the name: off the reactor, each name once however many ask, remembered for a while.
2. `guard` refuses addresses that the public may not choose for us. It judges the address that is connected to, so
   neither a redirect, nor a numeric spelling, nor a name that changes its mind gets past it.
3. `endpoint` connects to an allowed address, several in a `race`, or through a `proxy` (`tunnel`, `socks`); with `tls` it verifies chain
   and host before a request is written (`unverified`: but for the hosts that the operator exempts).
4. `connection` speaks HTTP/1.1: `answer` reads with llhttp within limits, `repair` what browsers put up with, `response` is what treq
   gets, `upload` carries a request's body; `pool` keeps the idle ones and has so many places.
5. `transfer` is one request on its way, `deadlines` limits its time; `agent` makes them for anybody: an IAgent.
6. `exchange` is one fetch under `treq.client.HTTPClient`; `sites` and `cookies` say what it carries besides; `body` gathers what comes.
7. `headers` turns a head into text; `failures` turns whatever went wrong into a reason and a sentence.

Rules of the room: what the web does wrong is a `FetchFailed`, never an exception; redirects are never followed, bodies never
decoded; what a request carries depends on its URL alone; whoever stops an exchange closes its socket; every input has a limit.
"""
