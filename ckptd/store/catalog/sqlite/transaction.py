"""Batches of changes on their way into the tables; owns the order of judging and writing.

Each change is judged first and then written, so that a refusal has written nothing and its neighbours go on. Process
rows and counters are written once a batch.
"""

import apsw
import msgpack

from ckptclient.errors import CkptdError
from ckptd.core.change import Answer, Change, Claim, ProgressNow
from ckptd.core.ids import RequestId
from ckptd.core.process_table import State, after
from ckptd.store.catalog.interface import Outcome
from ckptd.store.catalog.sqlite import answers as kept_answers
from ckptd.store.catalog.sqlite.checkpoints import Checkpoints
from ckptd.store.catalog.sqlite.counting import Counters
from ckptd.store.catalog.sqlite.journaling import Journaling
from ckptd.store.catalog.sqlite.judging import Judging
from ckptd.store.catalog.sqlite.processes import Process, Processes

REMEMBERED_MAX = 1024
"""Process rows kept for the next batch, about 5 KB each."""


class Transaction:
    """Judges and writes the changes of one batch after the other; `flush` before each COMMIT."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute
        self._processes = Processes(connection)
        self._counters = Counters(connection)
        self._judging = Judging(connection, self._processes)
        self._journaling = Journaling(connection)
        self.checkpoints = Checkpoints(connection, self._processes, self._counters)

    def outcome(self, change: Change) -> Outcome:
        """Apply one change, or say why not."""
        try:
            if change.request is not None:
                earlier = self._judging.answered(change, change.request)
                if earlier is not None:
                    return earlier
            process = self._judging.check(change)
        except CkptdError as refusal:
            return refusal
        return self._write(change, process)

    def flush(self) -> None:
        """Write what the changes touched: each process row once, each counter once."""
        self._processes.flush()
        self._counters.flush()

    @property
    def full(self) -> bool:
        """Whether it remembers more rows than it should: the next batch begins with a new one."""
        return len(self._processes) > REMEMBERED_MAX

    def _write(self, change: Change, process: Process | None) -> Answer:
        answers: list[Answer] = []
        if change.claim is not None:
            process = self._claim(change.claim, process, change.at)
            answers.append((process.k, process.epoch))
        if process is not None:
            self._processes.changed(process)
            self._write_progress(change, process)
            answers += self._write_history(change, process)
            answers += self._write_end(change, process)
        if change.to_trash or change.from_trash or change.pins or change.unpins:
            answers.append((self._move(change),))
        self._write_events(change, process)
        # A checkpoint that makes its own process is what was asked for; else the first field in order.
        answer = answers[0] if answers else ()
        if change.checkpoint is not None:
            answer = (change.checkpoint.seq, change.checkpoint.created_at)
        if change.request is not None:
            self._keep(change, process, change.request, answer)
        return answer

    # Claims

    def _claim(self, claim: Claim, process: Process | None, at: int) -> Process:
        raises = process is not None or claim.holder is not None
        if process is None:
            process = self._new_process(claim, at)
        if raises:
            process.epoch += 1
            self._execute("DELETE FROM member WHERE process=? AND epoch<?", (process.k, process.epoch))
        if claim.holder is None:
            self._let_go(process, at)
            return process
        self._counters.restate(process, after(process.state, claim.act))
        process.hold(claim.holder)
        process.registered_at, process.ended_at = at, None
        process.task_id = claim.task_id or process.task_id
        process.description = claim.description or process.description
        process.fingerprint, process.schema_version = claim.fingerprint, claim.schema_version
        process.policy = claim.policy or process.policy
        if claim.abandon_after is not None:
            process.abandon_after = claim.abandon_after
        return process

    def _new_process(self, claim: Claim, at: int) -> Process:
        next_seq = 1
        if claim.retires is not None:
            retired = self._processes.load(claim.retires)
            assert retired is not None, "the judge found it"
            # Its epoch rises, so that whoever still writes to it is fenced.
            retired.epoch += 1
            next_seq = retired.next_seq
            self._let_go(retired, at)
            self._processes.retire(retired)
        words = (claim.task_id, claim.description)
        return self._processes.insert(claim.uid, claim.process_id, claim.incarnation, words, next_seq, at)

    def _let_go(self, process: Process, at: int) -> None:
        """Nobody holds it any more."""
        process.hold(None)
        if process.state is State.RUNNING:
            self._counters.restate(process, State.INTERRUPTED)
            process.ended_at = at

    # What a process gets

    def _write_progress(self, change: Change, process: Process) -> None:
        if change.progress is not None:
            _take(process, change.progress)
        if change.mode is not None:
            process.mode = change.mode
        if change.sequence is not None:
            process.sequence = change.sequence
        if change.deaths is not None:
            process.deaths = change.deaths

    def _write_history(self, change: Change, process: Process) -> list[Answer]:
        """Journal and checkpoints."""
        answers: list[Answer] = []
        if change.journal is not None:
            member = change.guard.member if change.guard is not None else None
            self._journaling.append(change.journal, process, member, change.at)
            end = change.journal.position + len(change.journal.records)
            answers.append((end, process.done, process.failed))
        if change.rewind is not None:
            self._journaling.rewind(change.rewind, process)
            assert change.progress is not None, "a rewind goes back to a progress"
            process.done, process.failed = change.progress.done, change.progress.failed
        if change.suspicion is not None:
            self._journaling.suspect(change.suspicion, process)
        if change.checkpoint is not None:
            self.checkpoints.save(change.checkpoint, process)
        if change.tried is not None:
            self.checkpoints.tried(change.tried)
        if change.proven is not None:
            self.checkpoints.proven(change.proven, change.at)
        return answers

    def _write_end(self, change: Change, process: Process) -> list[Answer]:
        answers: list[Answer] = []
        if change.member is not None:
            self._execute("INSERT INTO member VALUES(?,?,?,x'')", (process.k, process.epoch, change.member))
            answers.append((change.member,))
        if change.act is not None:
            state = after(process.state, change.act)
            self._counters.restate(process, state)
            if state is not State.RUNNING:
                process.hold(None)
                process.ended_at = change.at
            answers.append((state.word,))
        return answers

    def _move(self, change: Change) -> int:
        checkpoints = self.checkpoints
        moved = checkpoints.trash(change.to_trash, change.at) + checkpoints.revive(
            change.from_trash, change.revived_until
        )
        return moved + checkpoints.pin(change.pins, 1) + checkpoints.pin(change.unpins, 0)

    def _write_events(self, change: Change, process: Process | None) -> None:
        for event in change.events:
            key = event.process if event.process is not None else process.k if process is not None else None
            self._execute(
                "INSERT INTO event(at,uid,process,process_id,kind,data) VALUES(?,?,?,?,?,?)",
                (change.at, event.uid, key, event.process_id, event.kind, msgpack.packb(dict(event.data))),
            )

    # The answer, for a repetition

    def _keep(self, change: Change, process: Process | None, request: RequestId, answer: Answer) -> None:
        guard, claim = change.guard, change.claim
        if guard is not None and guard.member is not None:
            answers = self._judging.member_answers(guard)
            kept_answers.add(answers, request, answer, change.at)
            row = (guard.process, guard.epoch, guard.member, kept_answers.pack(answers))
            self._execute("INSERT OR REPLACE INTO member VALUES(?,?,?,?)", row)
        elif process is not None and (
            guard.epoch is not None if guard else claim is not None and claim.holder is not None
        ):
            kept_answers.add(process.answers, request, answer, change.at)
        else:
            row_values = (request.session, request.number, kept_answers.pack_answer(answer), change.at)
            self._execute("INSERT INTO request VALUES(?,?,?,?)", row_values)
            self._execute(
                "DELETE FROM request WHERE session=?1 AND seq<=(SELECT seq FROM request WHERE session=?1 "
                "ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
                (request.session, kept_answers.KEPT),
            )


def _take(process: Process, now: ProgressNow) -> None:
    process.total, process.completed, process.step, process.batch = now.total, now.completed, now.step, now.batch
    process.metadata, process.speed, process.progress_at = now.metadata, now.speed, now.at
