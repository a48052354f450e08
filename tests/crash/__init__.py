"""The kill loop: random work over the socket, SIGKILL at random moments, and the clients' own log as the truth.

    python -m tests.crash --rounds 200 --seed 1        # `make crash ARGS="..."`
    python -m tests.crash --rounds 30 --broken         # a daemon that acknowledges too early: must be caught

A worker writes what it is about to ask, and what it was answered, to a log of its own that it syncs each time. After
each round the store is read back over the socket, and what is there is compared with the logs by `truth`, which shares
nothing with the engine. SIGKILL doesn't empty the page cache: that the syncs are there is for other tests to show.
"""
