"""The protocol, sans-I/O: bytes in, events out. `docs/PROTOCOL.md` is its specification.

`limits` bounds, `params` the parameters of each method, `frames` lengths and bodies, `messages` requests, replies and
notifications, `connection` the state table that ties them. Nothing here knows a socket, a clock or a thread.
"""
