"""Use cases. Each takes checked parameters and who is asking, and gives a result; none knows the wire or a socket."""
