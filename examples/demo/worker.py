"""The program that is killed: it measures its share of the files and keeps a running aggregate.

`plain` and `protected` are the same loop; `protected` differs by `with manager.process(...)`, `track` and `record`.
"""

import json
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from ckptclient import CheckpointManager, Client, UnknownProcess
from ckptclient.calls import show
from examples.demo import corpus
from examples.demo.measure import UNREADABLE, empty, fold, measure
from examples.demo.tally import Row, Tally

PLAIN, PROTECTED = "plain", "protected"
"""The names of the two runs."""


@dataclass(frozen=True, slots=True)
class Task:
    """What all workers are told, as a file in the demo's folder; `name` tells apart the two runs."""

    folder: Path
    name: str
    workers: int
    passes: int

    def files(self, worker: int) -> list[str]:
        """The share of one worker."""
        return corpus.share((self.folder / "files").read_text().splitlines(), worker, self.workers, self.passes)

    def process_id(self, worker: int) -> str:
        """What ckptd knows a worker's share by."""
        return f"sources-{worker + 1}"

    def tally(self) -> Tally:
        """The figures of this run."""
        return Tally(self.folder / f"{self.name}.tally", self.workers)

    def answer(self, worker: int) -> Path:
        """Where a plain worker leaves its aggregate."""
        return self.folder / f"{self.name}-{worker}.json"

    def argv(self, worker: int, life: int) -> list[str]:
        """The command that starts a worker."""
        told = [str(self.folder), self.name, str(self.workers), str(self.passes), str(worker), str(life)]
        return [sys.executable, "-m", "examples.demo.worker", *told]


def plain(task: Task, worker: int, row: Row) -> None:
    """The work without ckptd: what dies begins anew."""
    aggregate = empty()
    row.begin(1, 0, time.monotonic())
    for path in task.files(worker):
        try:
            one = measure(path)
        except UNREADABLE:
            one = None
        fold(aggregate, path, one)
        row.turn()
    task.answer(worker).write_text(json.dumps(dict(aggregate)))


def protected(task: Task, worker: int, row: Row, life: int) -> None:
    """The same work under ckptd: a worker that is started again goes on from its last checkpoint."""
    process_id, files, aggregate = task.process_id(worker), task.files(worker), empty()
    if life > 1 and completed(process_id):
        return  # it was killed between the end of its work and its own: a completed process would begin anew
    manager = CheckpointManager()
    with manager.process(process_id, task_id="demo", total_steps=len(files)) as process:
        for path in process.track(files, state=aggregate):
            if row.life != life:
                row.begin(life, aggregate["files"], time.monotonic())
            try:
                one = measure(path)
            except UNREADABLE as error:
                fold(aggregate, path, None)
                process.fail_item(path, error)
            else:
                fold(aggregate, path, one)
                process.record(path, dict(one))
            row.turn()


def completed(process_id: str) -> bool:
    """Whether nothing is left of a process."""
    with Client() as client:
        try:
            return client.call(show(process_id)).state == "completed"
        except UnknownProcess:
            return False


def main(argv: list[str]) -> None:
    """Run one life of one worker; the arguments are those of `Task.argv`."""
    folder, name, workers, passes, worker, life = argv
    task = Task(Path(folder), name, int(workers), int(passes))
    row = task.tally()[int(worker)]
    warnings.simplefilter("ignore")  # what other people's sources are warned of
    if name == PLAIN:
        plain(task, int(worker), row)
    else:
        protected(task, int(worker), row, int(life))


if __name__ == "__main__":
    main(sys.argv[1:])
