"""Several OS processes under one epoch: the members of a pool, started by spawn and by fork.

The holder hands out a token; with it a member records items by itself, durably. From then on an item is done when somebody
recorded it, not when the holder's loop goes on to the next. When the holder is taken over, all members are fenced.
"""

import hashlib
import multiprocessing
import os
from typing import cast

from ckptclient import CheckpointManager
from ckptclient.process import Member

ITEMS = 200
MEMBERS = 4


members: dict[str, Member] = {}
"""One for each token in this process, made when it is first needed: nothing of the parent's is used after a fork."""


def work(token: str, numbers: list[int]) -> None:
    """What one task of the pool does: a few items, recorded as a member."""
    member = members.get(token) or members.setdefault(token, CheckpointManager().member(token))
    for number in numbers:
        hashed = hashlib.pbkdf2_hmac("sha256", str(number).encode(), b"salt", 2_000).hex()[:16]
        member.record(number, {"hash": hashed, "pid": os.getpid()})


def run(method: str) -> None:
    """One process, worked on by a pool that was started one way or the other."""
    manager = CheckpointManager()
    with manager.process(f"pool-{method}", task_id="example", total_steps=ITEMS) as process:
        token = process.member_token()
        left = list(process.track(range(ITEMS), key=int))
        with multiprocessing.get_context(method).Pool(MEMBERS) as pool:
            pool.starmap(work, [(token, left[place : place + 10]) for place in range(0, len(left), 10)])
        results = list(process.results())
    counted = sorted(int(str(result.item)) for result in results)
    assert counted == list(range(ITEMS)), counted
    at_work = {cast("dict[str, object]", result.value)["pid"] for result in results}
    print(f"{method}: {len(results)} items, each once, by {len(at_work)} members")


if __name__ == "__main__":
    for how in ("spawn", "fork"):
        run(how)
