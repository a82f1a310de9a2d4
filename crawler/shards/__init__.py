"""One crawl in several reactor processes: for machines with more cores than one reactor and its parse workers can use.

Theory
------
Each process (*shard*) is a whole crawl with a home of its own, ``HOME/shard-0`` and so on, and owns the hosts whose name hashes to its
number (`store.outbox.owner_of`). So politeness, robots.txt, retries, what was seen and all budgets of a host are one process's, as ever.
The process that the user started, the *conductor*, crawls nothing: it starts the shards and carries messages between them.

- A link to a host of another shard is stored in the finder's ``outbox`` in the transaction of the page that had it; the owner's
  acknowledgement, sent once the link is durable there, deletes it. Whatever dies in between, it is sent again, and the owner takes a URL
  once. The same holds for a seed's redirect, which extends the scope: every shard gets it.
- *The end*: a shard that has nothing to do, and whose outbox is empty, says so, with how many messages it has heard. The conductor, through
  which every message goes, counts what it has sent: when all shards are quiet, each having heard everything, nothing is under way
  anywhere, and the crawl is over. A hand-over keeps its sender from being quiet until the receiver has it.
- *Budgets*: the pages of ``max_pages`` are tickets. A shard leases a page only on a ticket; the conductor gives them out in shares, takes
  back what idle shards do not need, and so neither more nor fewer pages are fetched than one process would fetch.
- *Death*: a shard that dies ends the run with an error; the conductor's death closes the shards' sockets, and they leave at once. Both are
  a kill -9, after which the same command goes on, like any other.

`messages` are the frames, `ledger` decides about end and budgets (pure), `conductor` is the one side of the sockets, `shard` the other,
`layout` the folder, `reader` and `merge` make one crawl of many homes for those who read.
"""
