"""Compares what ckptd kept with what the uninterrupted run gave; asks the daemon alone, not the workers."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from ckptclient import CheckpointManager
from examples.demo.measure import Aggregate, Measure, digest, empty, fold
from examples.demo.worker import Task


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that one run made of all files."""

    digest: str
    """Over the aggregates of all workers."""
    counted: Counter[str]
    """How often each file was counted."""
    aggregates: tuple[Aggregate, ...]
    recounted: str
    """The digest again, from the results alone: state and results must say the same."""


def uninterrupted(task: Task) -> Outcome:
    """What the plain workers left."""
    aggregates = tuple(json.loads(task.answer(worker).read_text()) for worker in range(task.workers))
    counted = Counter(path for worker in range(task.workers) for path in task.files(worker))
    whole = digest(aggregates)
    return Outcome(whole, counted, aggregates, whole)


def kept(task: Task, socket: str) -> Outcome:
    """What the daemon has: each worker's last state, and its results."""
    aggregates, recounted, counted = [], [], Counter[str]()
    with CheckpointManager(socket_path=socket) as manager:
        for worker in range(task.workers):
            process_id = task.process_id(worker)
            last = manager.storage.list_checkpoints(process_id=process_id)[0]
            _, state = manager.storage.load_checkpoint(last.checkpoint_id)
            again = empty()
            for result in manager.results(process_id):
                path = str(result.item)
                fold(again, path, None if result.error is not None else cast("Measure", result.value))
                counted[path] += 1
            aggregates.append(state)
            recounted.append(again)
    return Outcome(digest(aggregates), counted, tuple(aggregates), digest(recounted))


def differences(plain: Outcome, protected: Outcome) -> Iterator[str]:
    """Everything that is not as it should be, a sentence each."""
    if protected.digest != plain.digest:
        yield f"the aggregates differ: {protected.digest[:16]}, uninterrupted {plain.digest[:16]}"
    if protected.recounted != protected.digest:
        yield f"results and state differ: {protected.recounted[:16]} and {protected.digest[:16]}"
    for path in sorted(plain.counted.keys() | protected.counted.keys()):
        if plain.counted[path] != protected.counted[path]:
            yield f"{path} was counted {protected.counted[path]} times, not {plain.counted[path]}"
