"""The answers kept under request ids: a repetition answers what the first attempt did.

Theory. A session numbers its mutations upwards and has at most 64 of them in flight, so a repetition is always among
the 64 highest numbers of its session that were applied in the same place. Where all 64 places are taken and the number
is lower than each, it can't be said any more whether it was applied: it is refused and never applied.

Three places: the row of the process for whoever holds or claims it, the row of a member, and the table `request` for
all others. The first two are blobs of this module, written with a row that is written anyway.
"""

from typing import cast

import msgpack

from ckptclient.errors import UnknownOutcome
from ckptd.core.change import Answer
from ckptd.core.ids import RequestId

KEPT = 64
SESSIONS_KEPT = 8
"""Of a process row: the holder's session, those of its last lives, and those that claimed in between."""

FORGET_AFTER = 24 * 3600 * 1_000_000

Answers = dict[bytes, tuple[int, dict[int, bytes]]]
"""Session to (time of its last word, number to packed answer, rising).

Packed, because each change of a process reads and writes all, and asks for one at most.
"""


def unpack(packed: bytes | None) -> Answers:
    """From a row's blob."""
    return cast("Answers", msgpack.unpackb(packed, raw=False, strict_map_key=False, use_list=False)) if packed else {}


def pack(answers: Answers) -> bytes:
    """To a row's blob."""
    return msgpack.packb(answers)


def pack_answer(answer: Answer) -> bytes:
    """One answer, as the table `request` has it too."""
    return msgpack.packb(answer)


def unpack_answer(packed: bytes) -> Answer:
    """The reverse of `pack_answer`."""
    return tuple(msgpack.unpackb(packed))


def find(answers: Answers, request: RequestId) -> Answer | None:
    """The answer, None where it is new here; UnknownOutcome where the number is below all that are kept."""
    found = answers.get(request.session)
    if found is None:
        return None
    kept = found[1]
    answer = kept.get(request.number)
    if answer is not None:
        return unpack_answer(answer)
    if len(kept) >= KEPT and request.number < next(iter(kept)):
        raise forgotten(request)
    return None


def add(answers: Answers, request: RequestId, answer: Answer, at: int) -> None:
    """Keep an answer; forget the oldest of its session, and sessions that have said nothing for a day."""
    found = answers.get(request.session)
    if found is None:
        _make_room(answers, at)
        answers[request.session] = (at, {request.number: pack_answer(answer)})
        return
    kept = found[1]
    newest = next(reversed(kept))
    kept[request.number] = pack_answer(answer)
    if request.number < newest:
        kept = dict(sorted(kept.items()))
    if len(kept) > KEPT:
        del kept[next(iter(kept))]
    answers[request.session] = (at, kept)


def _make_room(answers: Answers, at: int) -> None:
    for session in [one for one, (last, _) in answers.items() if last < at - FORGET_AFTER]:
        del answers[session]
    if len(answers) >= SESSIONS_KEPT:
        del answers[min(answers, key=lambda one: answers[one][0])]


def forgotten(request: RequestId) -> UnknownOutcome:
    """The error for a number that is older than all that are kept."""
    return UnknownOutcome(
        f"request {request.number} is older than the {KEPT} answers that are kept of its session",
        hint="read the state of the process to see whether it was applied",
    )
