"""The answers kept under request ids: a repetition answers what the first attempt did.

Theory. A session numbers its mutations upwards and has at most 64 of them in flight, so a repetition is always among
the 64 highest numbers of its session that were applied to the same row. Where all 64 places are taken and the number
is lower than each, it can't be said any more whether it was applied: it is refused and never applied.
"""

import msgpack

from ckptclient.errors import UnknownOutcome
from ckptd.core.change import Answer
from ckptd.core.ids import RequestId

KEPT = 64
SESSIONS_KEPT = 8
FORGET_AFTER = 24 * 3600 * 1_000_000

Answers = dict[bytes, list[object]]
"""Session to [time of its last word, number, answer, number, answer, ...], numbers ascending."""


def unpack(packed: bytes | None) -> Answers:
    """From a row's blob."""
    return msgpack.unpackb(packed, raw=False, strict_map_key=False) if packed else {}


def pack(answers: Answers) -> bytes:
    """To a row's blob."""
    return msgpack.packb(answers)


def find(answers: Answers, request: RequestId) -> Answer | None:
    """The answer to this request, None where it is new; UnknownOutcome where that is no longer known."""
    kept = answers.get(request.session)
    if kept is None:
        return None
    numbers = kept[1::2]
    if request.number > numbers[-1]:  # type: ignore[operator]
        return None
    if request.number in numbers:
        return tuple(kept[2 + 2 * numbers.index(request.number)])  # type: ignore[arg-type]
    if len(numbers) >= KEPT and request.number < numbers[0]:  # type: ignore[operator]
        raise UnknownOutcome(
            f"request {request.number} is older than the {KEPT} answers that are kept of its session",
            hint="read the state of the process to see whether it was applied",
        )
    return None


def add(answers: Answers, request: RequestId, answer: Answer, at: int) -> None:
    """Keep an answer; forget the oldest of its session, and sessions that have said nothing for a day."""
    kept = answers.get(request.session)
    if kept is None:
        for session in [one for one, old in answers.items() if old[0] < at - FORGET_AFTER]:  # type: ignore[operator]
            del answers[session]
        if len(answers) >= SESSIONS_KEPT:
            del answers[min(answers, key=lambda one: answers[one][0])]  # type: ignore[arg-type,return-value]
        answers[request.session] = [at, request.number, answer]
        return
    kept[0] = at
    index = len(kept)
    while index > 1 and kept[index - 2] > request.number:  # type: ignore[operator]
        index -= 2
    kept[index:index] = [request.number, answer]
    if len(kept) > 1 + 2 * KEPT:
        del kept[1:3]
