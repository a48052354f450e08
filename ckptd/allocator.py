"""How the C library keeps memory that was freed: set once, before there are threads.

glibc gives each thread an arena of its own and large blocks back to the kernel at once; a payload of a MiB then costs
a few hundred page faults each time that it is copied, and each arena keeps what it once had. Two arenas that keep a
little are quicker and smaller. Elsewhere (musl) nothing is set. Not for: how much the daemon keeps by itself.
"""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8

ARENAS_MAX: Final = 2
KEPT_BYTES: Final = 8 << 20
"""What the top of an arena may hold free; also the block from which on memory comes from the kernel and goes back."""


def settle() -> bool:
    """Set it; whether this C library takes it."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    values = {_ARENA_MAX: ARENAS_MAX, _MMAP_THRESHOLD: KEPT_BYTES, _TRIM_THRESHOLD: KEPT_BYTES}
    taken = [mallopt(name, value) for name, value in values.items()]
    return all(taken)
