"""The frontier: every URL ever admitted, and which of them are still to be fetched.

Theory
------
All of it is on disk; memory holds a *window* per host: the first URLs of the host's queue in the order
(rank, seq), where the rank is the depth at which the URL was found, less its priority, and seq the order of admission: breadth first.

- Leases live in memory only. A URL that was leased when the process died is simply still queued.
- A URL enters memory only after the transaction that admitted it is durable, and leaves the disk queue in the
  transaction that stores its outcome. So nothing can be fetched whose discovery may be lost, and nothing is fetched
  twice once its outcome is durable.
- *Window invariant*: of each host, every queued URL whose place is at or below the window's limit is in memory (or on lease), every
  one beyond is on disk alone, but for those on lease or delayed, which are remembered as such. The limit is infinite while all fits.
- Everything that the writer thread tells the reactor arrives in the order of its transactions; that is why the window can
  be kept right without locks.

- URLs are appended to one table; the two indexes of it (which keys are seen, what is queued) lag behind on disk: their newest part
  is in memory and is read again from the end of that table at start (`fresh`). So a new URL costs no random page of the disk, and both
  memory and the time of a resume are bounded however many URLs there are.

`window` is the memory side, `sqlite` the statements that the writer thread runs inside its transactions.
"""
