"""Whether a change is applied: its request id, its guard or claim, and what its parts need. Nothing here writes.

All refusals come from here, before anything is written, so that a refused change has left nothing.
"""

import apsw

from ckptclient.errors import Conflict, Fenced, Held, NotFound
from ckptd.core.change import Answer, Change, Claim, Guard
from ckptd.core.ids import RequestId
from ckptd.core.process_table import Act, State, after
from ckptd.store.catalog.sqlite import answers as kept_answers
from ckptd.store.catalog.sqlite.processes import Process, Processes

_FROM = "SELECT seq,answer FROM request WHERE session=? AND seq>=? ORDER BY seq LIMIT ?"


class Judging:
    """Judges the changes of one batch, each on what those before it left."""

    def __init__(self, connection: apsw.Connection, processes: Processes) -> None:
        self._execute = connection.execute
        self._processes = processes

    # The answer of the first attempt

    def answered(self, change: Change, request: RequestId) -> Answer | None:
        """What an earlier attempt was answered. UnknownOutcome where that can't be said any more.

        Whoever has no token may find the process in another state than before: both places are looked into.
        """
        guard, claim = change.guard, change.claim
        if guard is not None and guard.member is not None:
            return kept_answers.find(self.member_answers(guard), request)
        process = self._named(change)
        if process is not None:
            answer = kept_answers.find(process.answers, request)
            if answer is not None:
                return answer
        if guard.signed if guard is not None else claim is not None and claim.holder is not None:
            return None
        found = list(self._execute(_FROM, (request.session, request.number, kept_answers.KEPT)))
        if not found:
            return None
        if found[0][0] == request.number:
            return kept_answers.unpack_answer(found[0][1])
        if len(found) == kept_answers.KEPT:
            raise kept_answers.forgotten(request)
        return None

    def _named(self, change: Change) -> Process | None:
        """The process row that would have the answer."""
        guard, claim = change.guard, change.claim
        if guard is not None:
            return self._processes.load(guard.process)
        if claim is None:
            return None
        key = claim.process or self._processes.current(claim.uid, claim.process_id)
        return self._processes.load(key) if key is not None else None

    def member_answers(self, guard: Guard) -> kept_answers.Answers:
        """What is kept for a member."""
        row = self._execute(
            "SELECT answers FROM member WHERE process=? AND epoch=? AND member=?", _place(guard)
        ).fetchone()
        return kept_answers.unpack(row[0]) if row else {}

    # The right

    def check(self, change: Change) -> Process | None:
        """The row that the change writes to, None where it makes one or needs none; a refusal is raised."""
        guard, claim = change.guard, change.claim
        process = None
        if claim is not None:
            process = self._check_claim(claim)
        elif guard is not None:
            process = self._check_guard(guard, change.checkpoint is not None)
        if change.checkpoint is not None:
            for needed in change.checkpoint.depends:
                if not self._execute("SELECT 1 FROM checkpoint WHERE k=? AND place!=1", (needed,)).fetchone():
                    raise NotFound("a checkpoint in depends is gone", details={"what": "checkpoint"})
        _check_state(change, process)
        return process

    def _check_guard(self, guard: Guard, saves: bool) -> Process:
        process = self._processes.load(guard.process)
        if process is None:
            raise NotFound("the process is gone", details={"what": "process"})
        if guard.epoch is None:
            if saves and process.state is State.RUNNING:
                raise Held(
                    f"process {process.process_id} has a live holder (pid {process.holder_pid})",
                    hint="save through its holder",
                )
        elif guard.epoch != process.epoch or not self._is_member(guard):
            raise fenced(process.process_id, guard.epoch, process.epoch)
        if guard.expected_head is not None and guard.expected_head != process.head:
            raise Conflict("the head is another checkpoint than the one expected", hint="restore the newest one first")
        return process

    def _is_member(self, guard: Guard) -> bool:
        if guard.member is None:
            return True
        found = self._execute("SELECT 1 FROM member WHERE process=? AND epoch=? AND member=?", _place(guard)).fetchone()
        return found is not None

    def _check_claim(self, claim: Claim) -> Process | None:
        if claim.process is None:
            if self._processes.current(claim.uid, claim.process_id) != claim.retires:
                raise Conflict("somebody else registered the process at the same time", hint="register again")
            return None
        process = self._processes.load(claim.process)
        if process is None:
            raise NotFound("the process is gone", details={"what": "process"})
        if not process.now or process.epoch != claim.seen_epoch:
            raise Conflict("somebody else took the process at the same time", hint="register again")
        return process


def _check_state(change: Change, process: Process | None) -> None:
    """Every step that the change takes is one of the table."""
    state = process.state if process is not None else State.REGISTERED
    if change.claim is not None and change.claim.holder is not None:
        state = after(state, change.claim.act)
    if change.checkpoint is not None:
        state = after(state, Act.SAVE)
    if change.act is not None:
        after(state, change.act)


def _place(guard: Guard) -> tuple[int, int | None, bytes | None]:
    return guard.process, guard.epoch, guard.member


def fenced(process_id: str, epoch: int, newer: int) -> Fenced:
    """The error for a writer that no longer owns its process."""
    return Fenced(
        f"process {process_id} is at epoch {newer}, this worker has epoch {epoch}",
        hint="another worker took the process over: stop, and start again if you want to take it back",
        details={"process_id": process_id, "epoch": epoch, "newer_epoch": newer},
    )
