"""`ckptctl`, the operator's tool: a client of the daemon that asks, shows, and answers by exit code.

`verbs` is the table of what can be said; each verb is a function from a `session` to an `answer`, which `printing`
writes as JSON or lays out for people. Nothing here reaches into the daemon: what can't be asked over its socket (or
read from the configuration) isn't shown.
"""
