"""The proof that what is acknowledged survives, made on the user's own disk; owns the term *tier*.

A daemon of its own, over a store of its own, is given random work by workers that write down, on disk, what they asked
and what they were answered (`work`). Then it is killed (`killing`), or what it wrote is taken apart and put together
again as a power cut may leave it (`tracing`, `weakest`, `replaying`). What is there afterwards is read by code that
shares nothing with the daemon's (`reading`), and compared with the workers' notes (`truth`).

The tests of this project use the same pieces, with faults that need root, and with daemons that are broken on purpose.
Not for: a store that holds anything; the directory that is given gets a new one, which is removed.
"""
