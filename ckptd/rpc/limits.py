"""What clients may take of the daemon, and who still gets in; owns the terms *slot* and *share*.

Of the slots for connections a few are kept for operators, so that somebody can look when workers have taken the rest;
and of the workers' slots no single user gets all, where there is more than one user. A connection beyond is refused
with `Busy`, which a client takes as "try again in a moment".
"""

from collections import Counter
from dataclasses import dataclass

from ckptclient.errors import Busy
from ckptclient.wire import limits as wire
from ckptd import limits
from ckptd.service.caller import Role


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of connections, as configured.

    `connection_bytes_max` is halved: one half for requests that are being worked on, one for replies that wait to be
    read; in each, a frame that has begun is let in whole.
    """

    connections_max: int = 2048
    operator_slots: int = 16
    requests_max: int = 64
    connection_bytes_max: int = 8 << 20
    write_deadline_seconds: float = 30.0
    hello_seconds: float = limits.hello_seconds_max
    user_share: float = limits.user_share

    @property
    def direction_bytes_max(self) -> int:
        """What may be kept of one direction before it is stopped."""
        return self.connection_bytes_max // 2

    @property
    def bulk_max(self) -> int:
        """How many requests whose reply may fill a frame are worked on at a time."""
        return max(1, self.direction_bytes_max // wire.frame_bytes_max)


class Slots:
    """Counts connections and refuses those beyond."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._of_workers: Counter[int] = Counter()
        self._operators = 0

    @property
    def taken(self) -> int:
        """Connections that are served now."""
        return self._of_workers.total() + self._operators

    def take(self, uid: int, role: Role) -> None:
        """Take a slot; raises `Busy` where none is free for this peer. `give` it back when the connection ends."""
        bounds = self._bounds
        taken = self.taken
        if role >= Role.OPERATOR:
            if taken >= bounds.connections_max:
                raise _full("the daemon has as many connections as it takes", bounds.connections_max)
            self._operators += 1
            return
        for_workers = bounds.connections_max - bounds.operator_slots
        if taken >= for_workers:
            raise _full("the daemon has as many connections of workers as it takes", for_workers)
        for_user = max(1, int(for_workers * bounds.user_share))
        if self._of_workers[uid] >= for_user:
            raise _full("your user has as many connections as one user may", for_user)
        self._of_workers[uid] += 1

    def give(self, uid: int, role: Role) -> None:
        """Give back what `take` took."""
        if role >= Role.OPERATOR:
            self._operators -= 1
        else:
            self._of_workers[uid] -= 1
            if not self._of_workers[uid]:
                del self._of_workers[uid]


def _full(what: str, count: int) -> Busy:
    return Busy(
        f"{what} ({count})",
        hint="close connections that are idle, or raise limits.connections_max",
        details={"connections_max": count},
    )
