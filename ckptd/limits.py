"""Bounds that the daemon keeps for itself and nobody configures; the unit stands last.

What an operator may change is in `ckptd.settings.table`, what the protocol fixes in `ckptclient.wire.limits`.
"""

from typing import Final

hello_seconds_max: Final = 10.0
"""How long a connection may say nothing before it is closed: a silent one would hold its slot for ever."""

read_bytes_max: Final = 64 << 10
"""One read of a connection. Larger ones gain nothing that was measurable and would hold up the others."""

backlog_count_max: Final = 1024
"""Connections that wait to be accepted; the kernel's net.core.somaxconn bounds it too."""

accepts_count_max: Final = 64
"""Connections accepted in one turn of the loop, so that a flood of them leaves time for those that work."""

turn_count_max: Final = 64
"""Requests of one connection that begin in one turn of the loop."""

refusals_count_max: Final = 64
"""Connections beyond the limit that are heard as far as their hello, so that they are told why; others are closed."""

user_share: Final = 0.75
"""Of the connections that workers may have, the share that one user may."""

accept_pause_seconds: Final = 0.1
"""After a failed accept (no descriptor is left), how long before the next."""

death_polls: Final = (0.0, 0.002, 0.005, 0.01, 0.02, 0.03)
"""Seconds between looking for the reason of a death, which the kernel tells once the parent has reaped. Their sum
stays well below the 100 ms within which a death is to be known."""

switch_interval_seconds: Final = 0.0005
"""Of the interpreter lock. With CPython's 5 ms a thread that hashes waits that long for a busy loop at every call."""

stop_seconds_max: Final = 10.0
"""What is in flight when the daemon is told to stop has so long to end."""

loop_pause_seconds: Final = 10.0
"""After a bug in a periodic loop, how long before it begins again."""

vanished_poll_seconds: Final = 2.0
"""How often a private daemon looks whether its store is still there, and whether it has clients."""

assert sum(death_polls) < 0.1
