"""The tier that cuts the power: one run is traced, and each state that a power cut may have left of it is looked at.

The moments are before and after each sync of the daemon and after each acknowledgement that reached a worker; at each
there are states as `weakest.KEEPS` has them. Whatever a worker had been told by then must be there. Needs strace, and no other right.
"""

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ckptd.ctl.selftest.killing import Verdict, work
from ckptd.ctl.selftest.reading import read_store
from ckptd.ctl.selftest.running import Daemon
from ckptd.ctl.selftest.tracing import Call, calls, command, missing
from ckptd.ctl.selftest.truth import Line, asked_in, faults, lines
from ckptd.ctl.selftest.weakest import KEEPS, NOTHING, Disk

TIER = "replay"

SETTINGS = {"retention.trash": "0", "cleanup.interval": "0"}
"""What is deleted goes with the next cleanup, so that the order in which space is given back is seen too."""

_WHAT = "crash states"


def replay_tier(
    directory: Path,
    points: int,
    seed: int,
    told: Callable[[int], object],
    program: Sequence[str] = ("-m", "ckptd"),
    wrong_max: int = 1,
) -> Verdict:
    """A run of `points` acts and its crash states; ends once `wrong_max` states are not as they should be."""
    why = missing()
    if why is not None:
        return Verdict(TIER, 0, 0, _WHAT, skipped=why)
    directory.mkdir()
    log, notes = _traced(directory, points, seed, program)
    disk, wrong, states = Disk(directory / "store"), list[str](), 0
    drawn = random.Random(seed)
    with log.open(encoding="ascii", errors="replace") as text:
        traced = calls(text)
    for moment, why, keeps in _moments(disk, traced, notes):
        asked = asked_in([notes], lambda line, until=moment * 1e6: line["wall"] <= until)  # type: ignore[misc]
        for keep in keeps:
            state = directory / "state"
            shutil.rmtree(state, ignore_errors=True)
            disk.write_state(state, keep, drawn)
            found, unreadable = read_store(state, directory / "look")
            wrong += [f"power cut {why}, {keep} kept: {one}" for one in (*unreadable, *faults(asked, found))]
            states += 1
            if len(wrong) >= wrong_max:
                return Verdict(TIER, states, len(asked.acknowledged), _WHAT, wrong)
        told(states)
    return Verdict(TIER, states, len(asked_in([notes]).acknowledged), _WHAT, wrong)


def _traced(directory: Path, acts: int, seed: int, program: Sequence[str]) -> tuple[Path, Sequence[Line]]:
    log, notes = directory / "trace", directory / "notes.jsonl"
    daemon = Daemon(directory / "store", directory / "s", directory / "daemon.log", program, SETTINGS)
    daemon.start(command(log))
    try:
        work(daemon.socket, notes, str(seed), acts).wait(600)
    finally:
        daemon.kill()
    return log, lines(notes)


def _moments(disk: Disk, traced: Sequence[Call], notes: Sequence[Line]) -> Iterator[tuple[float, str, Sequence[str]]]:
    """Each moment (seconds UTC), with what happened at it and which states differ there from those before.

    Before a sync more and more may be kept, after it less may be lost.
    """
    answers = [(line["wall"] / 1e6, line["what"]) for line in notes if not line["what"].endswith(("?", "!"))]
    for call in traced:
        while answers and answers[0][0] < call.ended:
            at, what = answers.pop(0)
            yield at, f"after the answer to {what} at {at:.6f}", (NOTHING, "some")
        if disk.syncs(call):
            yield call.began, f"before a {call.name} at {call.began:.6f}", ("names", "bytes", "some")
            disk.feed(call)
            yield call.ended, f"after a {call.name} at {call.ended:.6f}", (NOTHING,)
        else:
            disk.feed(call)
    for at, what in answers:
        yield at, f"after the answer to {what} at {at:.6f}", tuple(KEEPS)
