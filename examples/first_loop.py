"""The least there is: a loop that goes on where it was killed.

Run it, kill it with Ctrl-C or `kill -9` whenever you like, and run it again.
"""

import hashlib

from ckptclient import CheckpointManager


def slow(number: int) -> str:
    """Some work, a few milliseconds of it."""
    return hashlib.pbkdf2_hmac("sha256", str(number).encode(), b"salt", 10_000).hex()[:16]


def main() -> None:
    """Work through 400 items, each once, over as many starts as it takes."""
    manager = CheckpointManager()
    with manager.process("first-loop", task_id="example", total_steps=400) as process:
        before = process.state.completed_steps
        print(f"{before} of 400 were done before", flush=True)
        for number in process.track(range(400)):
            process.record(number, slow(number))
        print(f"{400 - before} now; results: {sum(1 for _ in process.results())}")


if __name__ == "__main__":
    main()
