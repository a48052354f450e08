"""The kill loop as a program."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.rounds import Run, plans

ROUNDS_OF_A_STORE = 25
"""After so many a new store begins: each round reads the whole of it back."""


def main() -> int:
    """Run the rounds; 0 when nothing was wrong, with `--broken` when something was."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="a real disk, not tmpfs")
    parser.add_argument("--broken", action="store_true", help="a daemon that acknowledges before it commits")
    chosen = parser.parse_args()
    module = "tests.crash.broken" if chosen.broken else "ckptd"
    with tempfile.TemporaryDirectory(prefix="ckptd-crash-", dir=chosen.directory) as directory:
        run, before = Run(Path(directory) / "0", module), 0
        for number, plan in enumerate(plans(chosen.rounds, chosen.seed), 1):
            if number % ROUNDS_OF_A_STORE == 0:
                run, before = Run(Path(directory) / str(number), module), before + run.acknowledged
            found = run.round(plan)
            if found:
                print(f"round {number} ({plan}):")
                print("\n".join(f"  {fault}" for fault in found[:20]))
                print(
                    "ok: the broken daemon was caught" if chosen.broken else f"FAILED; repeat with --seed {chosen.seed}"
                )
                return 0 if chosen.broken else 1
            if number % 10 == 0 or number == chosen.rounds:
                print(f"{number} rounds, {before + run.acknowledged} acknowledgements, nothing wrong", flush=True)
    print(
        "FAILED: the broken daemon was not caught"
        if chosen.broken
        else f"ok: {chosen.rounds} rounds, nothing acknowledged was lost"
    )
    return 1 if chosen.broken else 0


if __name__ == "__main__":
    sys.exit(main())
