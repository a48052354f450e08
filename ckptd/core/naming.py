"""How checkpoints and processes are written by people; owns the terms *checkpoint id* and *reference*.

A checkpoint id is `{process_id}_{type}_{seq}`. It is read from the right, because process ids and types have
underscores of their own: the digits end at the last one, and no type's word is the tail of another's, so an id has
one reading. Not for: aliases (ids that a caller chose), which only the catalog knows and which are looked up first.
"""

from dataclasses import dataclass

from ckptd.core.change import CheckpointType

LATEST = "latest"
"""The word for the newest checkpoint, alone or after `@`."""

_SEQ_DIGITS_MAX = 19  # of 2**63 - 1, the largest number that the catalog keeps
_SEQ_MAX = (1 << 63) - 1
_TAILS = tuple((f"_{kind.word}", kind) for kind in CheckpointType)


@dataclass(frozen=True, slots=True)
class Reference:
    """A checkpoint named by its process: by number, or the newest where `seq` is None."""

    process_id: str
    seq: int | None


def checkpoint_id(process_id: str, kind: CheckpointType, seq: int) -> str:
    """The id that users see."""
    return f"{process_id}_{kind.word}_{seq}"


def parse(checkpoint_id: str) -> tuple[str, CheckpointType, int] | None:
    """(process id, type, seq) of an id that `checkpoint_id` gives; None for any other text, an alias for example."""
    head, _, digits = checkpoint_id.rpartition("_")
    seq = _number(digits)
    if seq is None:
        return None
    for tail, kind in _TAILS:
        process_id = head.removesuffix(tail)
        if process_id and len(process_id) < len(head):
            return process_id, kind, seq
    return None


def reference(text: str) -> Reference | None:
    """Read `PROCESS@latest` or `PROCESS@SEQ`; None where the text is neither. The process is read by `split_user`."""
    process_id, _, which = text.rpartition("@")
    if not process_id:
        return None
    if which == LATEST:
        return Reference(process_id, None)
    seq = _number(which)
    return None if seq is None else Reference(process_id, seq)


def split_user(text: str) -> tuple[str | None, str]:
    """(user, process id) of an operator's `user/process`; the user is None where none is named.

    The first slash splits, as no user's name has one while a process id may. Whoever may name only processes of
    their own must not be asked: their `a/b` is a process id.
    """
    user, _, process_id = text.partition("/")
    return (user, process_id) if user and process_id else (None, text)


def _number(digits: str) -> int | None:
    """A number in the one way that we write it: no sign, no leading zero, no digits beyond ASCII's."""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _SEQ_DIGITS_MAX):
        return None
    number = int(digits)
    return number if str(number) == digits and number <= _SEQ_MAX else None
