"""Who is asking; owns the terms *caller* and *role*. Made once per connection at the edge, from what the kernel says."""

from dataclasses import dataclass
from enum import IntEnum

from ckptclient.errors import Denied
from ckptd.core.ids import Holder


class Role(IntEnum):
    """What a caller may do; a higher one includes the lower ones."""

    WORKER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """One connection's peer. `holder` is None where its OS process can't be named (another pid namespace)."""

    uid: int
    gid: int
    pid: int
    role: Role
    session: bytes
    holder: Holder | None
    connection: int

    @property
    def sees_all(self) -> bool:
        """Whether other users' processes are visible."""
        return self.role >= Role.OPERATOR

    def require(self, uid: int) -> None:
        """Refuse what belongs to another user, unless the role sees all."""
        if uid != self.uid and not self.sees_all:
            raise Denied("this belongs to another user", hint="ask an operator, or use your own process id")
