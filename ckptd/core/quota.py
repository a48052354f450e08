"""Whether there is room for a save; owns the terms *limit* and *reserve*.

Two bounds hold at once: what the store (or a user) may hold, and what the file system has left above the reserve,
which is kept so that deleting works on a full disk. Not for: making room.
"""

from ckptclient.errors import NoSpace, Quota
from ckptd.core.values import value

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


@value
class Space:
    """Bytes now. `limit` None bounds nothing; `user` None is the whole store; `reserve` is part of `free_on_disk`."""

    used: int
    limit: int | None
    free_on_disk: int
    reserve: int
    user: str | None = None


def admit(space: Space, asked_bytes: int) -> None:
    """NoSpace (Quota where a user's own bound is reached) unless so many more bytes may be stored.

    The details have bytes: needed, available, used, limit and missing.
    """
    by_limit = None if space.limit is None else max(0, space.limit - space.used)
    by_disk = max(0, space.free_on_disk - space.reserve)
    available = by_disk if by_limit is None else min(by_limit, by_disk)
    if asked_bytes <= available:
        return
    details = {
        "needed_bytes": asked_bytes,
        "available_bytes": available,
        "used_bytes": space.used,
        "limit_bytes": space.limit,
        "missing_bytes": asked_bytes - available,
    }
    need = f"this save needs {size(asked_bytes)}, of which {size(asked_bytes - available)} are missing"
    if by_limit is None or by_disk < by_limit:
        raise NoSpace(
            f"the file system is full: {size(space.free_on_disk)} are free and {size(space.reserve)} of them "
            f"reserved for deletes; {need}",
            hint="make room on the store's file system, or: ckptctl ls, then ckptctl expire ID",
            details=details,
        )
    assert space.limit is not None
    full = f"{size(space.used)} of {size(space.limit)} used; {need}"
    free = "ckptctl ls, then ckptctl expire ID or ckptctl unpin ID"
    if space.user is not None:
        raise Quota(f"the quota of {space.user} is reached: {full}", hint=f"make room: {free}", details=details)
    raise NoSpace(f"the store is full: {full}", hint=f"make room: {free}; or raise store.limit", details=details)


def size(count_bytes: int) -> str:
    """For people: `10.0 GB`, decimal units, one digit after the point, rounded."""
    value, unit = float(count_bytes), 0
    while round(value, 1) >= 1000.0 and unit < len(_UNITS) - 1:
        value, unit = value / 1000.0, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count_bytes} B"
