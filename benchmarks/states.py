"""The states that the workloads save: drawn from a seed, so that every peer stores the same bytes.

Stores that take bytes get them from `pack`, which is pickle, because that is what their users write by hand.
"""

import pickle
import random
from collections.abc import Iterator
from typing import Any

SEED = 20240601
PROSE = """the a of to and in for on with as at by from batch record sample label image text user
model token shard epoch prompt answer question source review city river market winter engine
garden letter window number system police doctor family station journey morning evening quick
small large early late paper plain bright narrow common public private general final second
found moved wrote asked kept built sold opened closed reached carried followed turned showed
because although while before after until between against through under over near without
therefore however perhaps often never always once twice again still only even almost"""
WORDS = PROSE.split()

State = dict[str, Any]


def text(rng: random.Random, length: int) -> str:
    """Words in random order, `length` characters of them: they compress about as prose does."""
    words = rng.choices(WORDS, k=length // 2)
    return " ".join(words)[:length]


def small_state(key: str, version: int) -> State:
    """What W1 and W5 save: a cursor, ten counters and a note, about 1.3 KB when packed."""
    rng = random.Random(f"{SEED}:{key}:{version}")
    return {
        "step": version,
        "cursor": f"shard-{rng.randrange(1000):05d}/row-{version * 512}",
        "counters": {f"counter_{i}": version * 7 + rng.randrange(100) for i in range(10)},
        "note": text(rng, 1000),
    }


def record(rng: random.Random, number: int) -> State:
    """One of W2's records."""
    return {
        "id": number,
        "url": f"https://example.org/{rng.choice(WORDS)}/{rng.randrange(10**6)}",
        "label": rng.choice(WORDS),
        "score": round(rng.random(), 4),
        "text": text(rng, rng.randrange(60, 180)),
    }


def evolving_states(versions: int, records: int) -> Iterator[State]:
    """What W2 saves: the same state each time, in which 2 % of the records were changed and 1 % appended meanwhile."""
    rng = random.Random(f"{SEED}:w2")
    rows = [record(rng, number) for number in range(records)]
    for version in range(versions):
        if version:
            for number in rng.sample(range(len(rows)), len(rows) // 50):
                rows[number] = record(rng, number)
            rows += [record(rng, len(rows)) for _ in range(len(rows) // 100)]
        yield {"batch": "train-000", "version": version, "records": rows}


def tiny_states(keys: int, versions: int) -> Iterator[tuple[str, int, State]]:
    """What W4 saves: `(key, version, state)`, one version of every key after the other, about 50 bytes each."""
    for version in range(versions):
        for k in range(keys):
            yield tiny_key(k), version, {"step": version, "loss": round(9 / (1 + version + k % 7), 5), "ok": True}


def tiny_key(k: int) -> str:
    """The name of W4's key number `k`."""
    return f"job-{k:04d}"


def pack(state: State) -> bytes:
    """The state as bytes."""
    return pickle.dumps(state, protocol=5)


def unpack(packed: bytes) -> State:
    """The state back from `pack`."""
    state: State = pickle.loads(packed)  # noqa: S301 - bytes that this run has packed itself
    return state
