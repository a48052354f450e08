"""The tiers as a program, in the size that takes minutes: `make faults`, `make sweep`.

Ends with a line for each tier: what was done, what was found, or why it can't be had here; 1 where anything is wrong, or
where a broken daemon was not caught.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ckptd.ctl.selftest.killing import kill_tier
from ckptd.ctl.selftest.replaying import replay_tier
from ckptd.ctl.selftest.tracing import missing
from tests.faults import blocks
from tests.faults.broken import program
from tests.faults.media import Impossible
from tests.faults.sweep import ENDS, Sweep

BROKEN = ("no_fsync", "no_directory_sync", "synchronous_normal", "early_acknowledgement", "delete_before_condemn")

CAUGHT_BY = {
    "kill": ("early_acknowledgement",),
    "sweep": ("early_acknowledgement",),
    "replay": BROKEN,
    "ext4": ("no_fsync", "synchronous_normal", "early_acknowledgement"),
    "xfs": ("no_fsync", "synchronous_normal", "early_acknowledgement"),
}
"""By tier: the broken daemons that it must catch."""

Found = tuple[str, list[str]]
"""What was done, in words, and what is wrong."""


def kill(directory: Path, size: int, seed: int, *variants: str) -> Found:
    found = kill_tier(directory, size, seed, lambda _: None, program("small", *variants))
    return f"{found.points} kills, {found.acknowledged} acknowledgements", list(found.wrong)


def replay(directory: Path, size: int, seed: int, *variants: str) -> Found:
    found = replay_tier(directory / "r", size, seed, lambda _: None, program("small", *variants))
    if found.skipped is not None:
        raise Impossible(found.skipped)
    return f"{found.points} crash states, {found.acknowledged} acknowledgements", list(found.wrong)


def block_replay(kind: str) -> Callable[..., Found]:
    def tier(directory: Path, size: int, seed: int, *variants: str) -> Found:
        found = blocks.replay(directory, kind, seed, size, program("small", *variants))
        words = f"{found.states} crash states of {found.writes} writes and {found.flushes} flushes"
        return f"{words}, {found.acknowledged} acknowledgements", list(found.wrong)

    return tier


def sweep(directory: Path, size: int, seed: int, *variants: str) -> Found:
    why = missing()
    if why is not None:
        raise Impossible(why)
    runs, fired, ended, wrong = 0, 0, 0, list[str]()
    sweeps = [Sweep(directory, seed, *variants, by=by) for by in ("by_thread", "by_loop")]
    for one, fault in [(each, fault) for each in sweeps for fault in each.faults(every=max(1, size))]:
        run = one.run(fault)
        runs, fired, ended = runs + 1, fired + run.fired, ended + (run.ended is not None)
        wrong += [f"{fault}: {what}" for what in run.wrong]
        if run.ended is not None and run.ended not in ENDS[fault.how]:
            wrong.append(f"{fault}: the daemon ended with {run.ended}")
        if runs % 100 == 0:
            print(f"sweep: {runs} runs, {len(wrong)} wrong", flush=True)
        if wrong and variants:
            break
    return f"{runs} runs, {fired} faults that happened, {ended} daemons that ended by them", wrong


TIERS: dict[str, tuple[Callable[..., Found], int]] = {
    "kill": (kill, 20),
    "replay": (replay, 60),
    "ext4": (block_replay("ext4"), 120),
    "xfs": (block_replay("xfs"), 120),
    "sweep": (sweep, 29),
}
"""By name, with its usual size: kills, acts, moments; of the sweep every so-many-th fault, 1 for all."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--tier", choices=TIERS, action="append", help="only this one; may be said again")
    parser.add_argument("--size", type=int, help="in place of the tier's usual size")
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="a real disk, not tmpfs")
    parser.add_argument("--whole", action="store_true", help="leave the broken daemons out")
    chosen = parser.parse_args()
    failed = False
    for tier in chosen.tier or TIERS:
        for variant in ("", *(() if chosen.whole else CAUGHT_BY[tier])):
            failed |= not one(tier, variant, chosen.size, chosen.seed, chosen.directory)
    return 1 if failed else 0


def one(tier: str, variant: str, size: int | None, seed: int, directory: Path) -> bool:
    """Run a tier, with a broken daemon where one is named; whether all was as it should be."""
    run, usual = TIERS[tier]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ckptd-faults-", dir=directory) as place:
        try:
            words, wrong = run(Path(place), size or usual, seed, *([variant] if variant else []))
        except Impossible as why:
            print(f"{tier}: skipped: {why}", flush=True)
            return True
    seconds = f"{time.monotonic() - begun:.0f} s"
    if variant:
        print(f"{tier}: {variant} {'was caught' if wrong else 'WAS NOT CAUGHT'}; {words}, {seconds}", flush=True)
        return bool(wrong)
    print(f"{tier}: {words}, {len(wrong)} wrong, seed {seed}, {seconds}", flush=True)
    print("".join(f"  {what}\n" for what in wrong[:20]), end="", flush=True)
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
