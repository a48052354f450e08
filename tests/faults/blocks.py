"""The power cut on a real file system: what its disk was asked to do is recorded, and cut off at any point.

A state has every write up to the last flush before the cut, and of those after it each with even chance, also torn
within itself: a disk promises a sector, no more. The kernel mounts it, with whatever its journal makes of it.
"""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ckptd.ctl.selftest.killing import work
from ckptd.ctl.selftest.reading import read_store
from ckptd.ctl.selftest.replaying import SETTINGS
from ckptd.ctl.selftest.running import Daemon, wait_until
from ckptd.ctl.selftest.truth import Line, asked_in, faults, lines
from tests.faults.media import Impossible, looped, make_image, mounted, needs, run
from tests.faults.recorder import FLUSH, WRITE, Op, read_log

SECTOR_BYTES = 512
ACTS = 40


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many states were looked at, of how much, and what was wrong."""

    states: int
    writes: int
    flushes: int
    acknowledged: int
    wrong: Sequence[str]


def replay(directory: Path, kind: str, seed: int, points: int, program: Sequence[str], wrong_max: int = 1) -> Outcome:
    """A run on a file system of this kind and states at `points` moments of it."""
    needs("mount", "losetup")
    image = make_image(directory / "image", kind)
    base = directory / "base"
    run(["cp", "--sparse=always", image, base])
    notes = _recorded(directory, image, seed, program)
    ops = list(read_log(directory / "log"))
    begun = notes[0]["wall"] / 1e6
    moments = _moments(ops, notes, begun, points, random.Random(seed))
    return _looked_at(directory, base, ops, notes, moments, random.Random(seed), wrong_max)


def _recorded(directory: Path, image: Path, seed: int, program: Sequence[str]) -> Sequence[Line]:
    with (
        _recorder(image, directory / "log", directory / "fuse") as disk,
        looped(disk) as device,
        mounted(device, directory / "mounted") as place,
    ):
        daemon = Daemon(place / "store", directory / "s", directory / "daemon.log", program, SETTINGS)
        with daemon.serving():
            assert work(daemon.socket, directory / "notes.jsonl", str(seed), ACTS).wait(300) == 0
    return lines(directory / "notes.jsonl")


@contextmanager
def _recorder(image: Path, log: Path, point: Path) -> Iterator[Path]:
    point.mkdir()
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Impossible("/dev/fuse is not here")
    command = [sys.executable, "-m", "tests.faults.recorder", str(image), str(log), str(point)]
    said = log.with_name("recorder.log")
    with said.open("wb") as errors:
        recorder = subprocess.Popen(command, stderr=errors)
    try:
        wait_until(lambda: recorder.poll() is not None or point.is_mount(), 30, "the recorder is mounted")
        if recorder.poll() is not None:
            raise Impossible(said.read_text().strip().splitlines()[-1])
        yield point / "disk"
    finally:
        if point.is_mount():
            subprocess.run(["umount", point], check=True)
        recorder.wait(30)


def _moments(
    ops: Sequence[Op], notes: Sequence[Line], begun: float, points: int, drawn: random.Random
) -> list[tuple[int, float]]:
    """(how many operations came before the cut, when it is): after each answer as far as there are so many, and between."""
    answers = [line["wall"] / 1e6 for line in notes if not line["what"].endswith(("?", "!"))]
    chosen = drawn.sample(answers, min(len(answers), points // 2))
    work_of = [index for index, op in enumerate(ops) if begun <= op.at <= answers[-1]]
    cuts = [ops[index].at for index in drawn.sample(work_of, min(len(work_of), points - len(chosen)))]
    return sorted((sum(op.at < at for op in ops), at) for at in (*chosen, *cuts))


def _looked_at(
    directory: Path,
    base: Path,
    ops: Sequence[Op],
    notes: Sequence[Line],
    moments: Sequence[tuple[int, float]],
    drawn: random.Random,
    wrong_max: int,
) -> Outcome:
    flushed, wrong, states = 0, list[str](), 0
    for cut, at in moments:
        last = max((index for index in range(flushed, cut) if ops[index].kind == FLUSH), default=flushed)
        _apply(base, ops[flushed:last], lambda _: True)
        flushed = last
        state = directory / "state"
        for keep in (0.0, 0.5):
            run(["cp", "--sparse=always", base, state])
            _apply(state, ops[flushed:cut], lambda _, keep=keep: drawn.random() < keep)  # type: ignore[misc]
            wrong += [
                f"cut before {cut} of {len(ops)}, keep {keep}: {one}" for one in _check(directory, state, notes, at)
            ]
            states += 1
        if len(wrong) >= wrong_max:
            break
    kinds = [op.kind for op in ops]
    acknowledged = len(asked_in([notes]).acknowledged)
    return Outcome(states, kinds.count(WRITE), kinds.count(FLUSH), acknowledged, wrong)


def _apply(image: Path, ops: Sequence[Op], keeps: Callable[[int], bool]) -> None:
    fd = os.open(image, os.O_RDWR)
    try:
        for op in ops:
            for at in range(0, len(op.data), SECTOR_BYTES):
                if keeps(at):
                    os.pwrite(fd, op.data[at : at + SECTOR_BYTES], op.offset + at)
    finally:
        os.close(fd)


def _check(directory: Path, state: Path, notes: Sequence[Line], at: float) -> Sequence[str]:
    asked = asked_in([notes], lambda line: line["wall"] <= at * 1e6)
    with ExitStack() as stack:
        try:
            place = stack.enter_context(mounted(state, directory / "look-at", "-o", "loop"))
        except Impossible as error:
            return [f"the file system can't be mounted: {error}"]
        found, unreadable = read_store(place / "store", directory / "look")
    shutil.rmtree(directory / "look", ignore_errors=True)
    return [*unreadable, *faults(asked, found)]
