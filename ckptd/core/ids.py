"""Distinct ids are distinct types; owns the terms *token*, *request id* and *holder*.

Not for: making ids (randomness and numbers come from the edge) or judging them (`lease`, the catalog's transaction).
"""

from typing import NewType, Self

from ckptclient.errors import BadRequest
from ckptd.core.values import value

ProcessKey = NewType("ProcessKey", int)
"""One incarnation of a process: the catalog's row. A completed process that is used again gets another."""

CheckpointKey = NewType("CheckpointKey", int)
"""A checkpoint's place in commit order."""

BodyKey = NewType("BodyKey", int)
ChunkKey = NewType("ChunkKey", int)
PackKey = NewType("PackKey", int)
Epoch = NewType("Epoch", int)

LINEAGE_BYTES = 16
MEMBER_BYTES = 16


@value
class RequestId:
    """A mutation's name: the client's session, and that session's own rising number."""

    session: bytes
    number: int


@value
class Token:
    """The right to write for a process: lineage of the store, incarnation (its key) and epoch; a member's has its name."""

    lineage: bytes
    process: ProcessKey
    epoch: Epoch
    member: bytes | None = None

    def pack(self) -> bytes:
        """48 bytes, or 64 with a member: lineage (16), key (8, big-endian), epoch (8), padding (16), member (16)."""
        fixed = self.lineage + self.process.to_bytes(8, "big") + self.epoch.to_bytes(8, "big") + bytes(16)
        return fixed + (self.member or b"")

    @classmethod
    def unpack(cls, raw: bytes) -> Self:
        """Read a token; BadRequest where it isn't one."""
        if len(raw) not in (48, 64):
            raise BadRequest("the token has a wrong length", hint="send the token as process.register gave it")
        return cls(
            raw[:16],
            ProcessKey(int.from_bytes(raw[16:24], "big")),
            Epoch(int.from_bytes(raw[24:32], "big")),
            raw[48:] or None,
        )


@value
class Holder:
    """An OS process, named so that it can't be confused with a later one of the same pid.

    `start` is the kernel's start time in clock ticks since boot; `session` the client library's session in it.
    """

    boot_id: bytes
    pid: int
    start: int
    session: bytes

    def same_worker(self, other: "Holder") -> bool:
        """Whether both are the same OS process, whatever session speaks."""
        return (self.boot_id, self.pid, self.start) == (other.boot_id, other.pid, other.start)
