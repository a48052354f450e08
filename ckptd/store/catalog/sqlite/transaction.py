"""One batch of changes on its way into the tables; owns the order of judging and writing.

Each change is judged first (request id, guard, what its parts need) and then written, so that a refusal has written
nothing and its neighbours go on. A process row is read once a batch and written once, with its answers; counters are
written once a batch. Nothing kept here outlives the transaction, so there is no cache that could be wrong.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import apsw
import msgpack

from ckptclient.errors import CkptdError, Conflict, Fenced, Held, NotFound
from ckptd.core.change import Answer, Change, CheckpointType, Claim, NewCheckpoint, Place, ProgressNow
from ckptd.core.ids import CheckpointKey, ProcessKey, RequestId
from ckptd.core.journal import DONE, FAILED
from ckptd.core.process_table import Act, Mode, State, after
from ckptd.store.catalog.interface import Outcome
from ckptd.store.catalog.sqlite import answers as kept_answers

STATUS, TYPE, PLACE = 0, 1, 2
"""Dimensions of the counters."""

STATUS_OF = {State.COMPLETED: 1, State.FAILED: 2}
"""State of the process to the status counter of its live checkpoints; all others count as active (0)."""


@dataclass(slots=True)
class Process:
    """The columns of a process row that changes touch."""

    key: ProcessKey
    uid: int
    process_id: str
    epoch: int
    state: State
    boot_id: bytes | None
    pid: int | None
    start: int | None
    session: bytes | None
    answers: kept_answers.Answers
    total: int | None
    completed: int
    step: str
    batch: str | None
    metadata: bytes
    done: int
    failed: int
    speed: bytes
    progress_at: int
    fingerprint: bytes | None
    schema_version: int
    policy: bytes
    abandon_after: int | None
    sequence: bytes
    mode: int
    head: int | None
    next_seq: int
    next_pos: int
    deaths: int
    checkpoints: int
    task_id: str
    description: str
    registered_at: int
    ended_at: int | None


_LOAD = (
    "SELECT k,uid,process_id,epoch,state,boot_id,holder_pid,holder_start,session,answers,total,completed,step,batch,"
    "metadata,done,failed,speed,progress_at,fingerprint,schema_version,policy,abandon_after,sequence,mode,head,next_seq,"
    "next_pos,deaths,checkpoints,task_id,description,registered_at,ended_at FROM process WHERE k=?"
)
_STORE = (
    "UPDATE process SET epoch=?,state=?,boot_id=?,holder_pid=?,holder_start=?,session=?,answers=?,total=?,completed=?,"
    "step=?,batch=?,metadata=?,done=?,failed=?,speed=?,progress_at=?,fingerprint=?,schema_version=?,policy=?,"
    "abandon_after=?,sequence=?,mode=?,head=?,next_seq=?,next_pos=?,deaths=?,checkpoints=?,task_id=?,description=?,"
    "registered_at=?,ended_at=? WHERE k=?"
)
_INSERT_CHECKPOINT = (
    "INSERT INTO checkpoint(process,seq,epoch,type,place,created_at,expires_at,pinned,logical,own,journal_pos,attempts,"
    "schema_version,has_state,checksum,task_id,description,metadata,alias,manifest,small) "
    "VALUES(?,?,?,?,0,?,?,0,?,?,?,0,?,?,?,?,?,?,?,?,?)"
)


class Transaction:
    """Judges and writes the changes of one batch; `flush` before COMMIT."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._processes: dict[ProcessKey, Process] = {}
        self._counts: dict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0, 0, 0])

    def judge(self, change: Change) -> Outcome:
        """Apply one change, or say why not."""
        try:
            return self._apply(change)
        except CkptdError as refusal:
            return refusal

    def _apply(self, change: Change) -> Answer:
        request, claim = change.request, change.claim
        if request is not None:
            earlier = self._answered(change, request)
            if earlier is not None:
                return earlier
        process = self._check(change)
        if change.checkpoint is not None:
            self._check_checkpoint(change.checkpoint)
        answer: Answer = ()
        if claim is not None:
            process = self._claim(claim, process, change.at)
            answer = (process.key, process.epoch)
        if process is not None:
            written = self._write_process(change, process)
            # Who claims is told its epoch, whatever else the claim brings; a checkpoint answers for itself.
            answer = answer if claim is not None and change.checkpoint is None else written
        if change.to_trash or change.from_trash or change.pins or change.unpins:
            answer = (self._move(change),)
        for event in change.events:
            data = msgpack.packb(dict(event.data))
            row = (change.at, event.uid, event.process or (process and process.key), event.process_id, event.kind, data)
            self._execute("INSERT INTO event(at,uid,process,process_id,kind,data) VALUES(?,?,?,?,?,?)", row)
        if request is not None:
            self._keep(change, process, request, answer)
        return answer

    # Judging

    def _answered(self, change: Change, request: RequestId) -> Answer | None:
        guard, claim = change.guard, change.claim
        if guard is not None and guard.member is not None:
            row = self._execute(
                "SELECT answers FROM member WHERE process=? AND epoch=? AND member=?",
                (guard.process, guard.epoch, guard.member),
            ).fetchone()
            return kept_answers.find(kept_answers.unpack(row[0]), request) if row else None  # type: ignore[arg-type]
        key = guard.process if guard is not None else claim and (claim.process or claim.retires)
        if key is not None:
            process = self._load(key)
            return kept_answers.find(process.answers, request) if process else None
        row = self._execute(
            "SELECT answer FROM request WHERE session=? AND seq=?", (request.session, request.number)
        ).fetchone()
        return tuple(msgpack.unpackb(row[0])) if row else None  # type: ignore[arg-type]

    def _check(self, change: Change) -> Process | None:
        guard, claim = change.guard, change.claim
        if claim is not None:
            return self._check_claim(claim)
        if guard is None:
            return None
        process = self._load(guard.process)
        if process is None:
            raise NotFound("the process is gone", details={"what": "process"})
        if guard.epoch is not None and guard.epoch != process.epoch:
            raise fenced(process.process_id, guard.epoch, process.epoch)
        if (
            guard.member is not None
            and not self._execute(
                "SELECT 1 FROM member WHERE process=? AND epoch=? AND member=?",
                (guard.process, guard.epoch, guard.member),
            ).fetchone()
        ):
            raise fenced(process.process_id, guard.epoch or 0, process.epoch)
        if guard.epoch is None and change.checkpoint is not None and process.state is State.RUNNING:
            raise Held(
                f"process {process.process_id} has a live holder (pid {process.pid})", hint="save through its holder"
            )
        if guard.expected_head is not None and guard.expected_head != process.head:
            raise Conflict("the head is another checkpoint than the one expected", hint="restore the newest one first")
        if change.checkpoint is not None:
            after(process.state, Act.SAVE)
        if change.act is not None:
            after(process.state, change.act)
        return process

    def _check_claim(self, claim: Claim) -> Process | None:
        if claim.process is None:
            taken = self._execute(
                "SELECT k FROM process WHERE uid=? AND process_id=? AND now=1", (claim.uid, claim.process_id)
            ).fetchone()
            if (taken and taken[0]) != claim.retires:
                raise Conflict("somebody else registered the process at the same time", hint="register again")
            return None
        process = self._load(claim.process)
        if process is None:
            raise NotFound("the process is gone", details={"what": "process"})
        if process.epoch != claim.seen_epoch:
            raise Conflict("somebody else took the process at the same time", hint="register again")
        if claim.holder is not None:
            after(process.state, claim.act)
        return process

    def _check_checkpoint(self, new: NewCheckpoint) -> None:
        for needed in new.depends:
            if not self._execute("SELECT 1 FROM checkpoint WHERE k=? AND place!=1", (needed,)).fetchone():
                raise NotFound("a checkpoint in depends is gone", details={"what": "checkpoint"})

    # Writing

    def _claim(self, claim: Claim, process: Process | None, at: int) -> Process:
        if process is None:
            process = self._new_process(claim, at)
        process.state = after(process.state, claim.act) if claim.holder is not None else process.state
        if claim.holder is not None or claim.process is not None:
            process.epoch += 1
        holder = claim.holder
        process.boot_id, process.pid, process.start, process.session = (
            (holder.boot_id, holder.pid, holder.start, holder.session) if holder else (None, None, None, None)
        )
        if holder is None and process.state is State.RUNNING:
            self._restate(process, State.INTERRUPTED, at)
        if holder is not None:
            process.registered_at, process.ended_at = at, None
            process.task_id = claim.task_id or process.task_id
            process.description = claim.description or process.description
            process.fingerprint, process.schema_version = claim.fingerprint, claim.schema_version
            process.policy = claim.policy or process.policy
            process.abandon_after = claim.abandon_after or process.abandon_after
        return process

    def _new_process(self, claim: Claim, at: int) -> Process:
        next_seq = 1
        if claim.retires is not None:
            self._execute("UPDATE process SET now=0 WHERE k=?", (claim.retires,))
            retired = self._load(claim.retires)
            if retired is not None:
                next_seq = retired.next_seq
                if retired.state is not State.COMPLETED:
                    self._end(retired, State.INTERRUPTED, at)
                    retired.epoch += 1
        self._execute(
            "INSERT INTO process(uid,process_id,now,incarnation,epoch,state,task_id,description,completed,step,metadata,done,"
            "failed,speed,progress_at,schema_version,policy,sequence,mode,next_seq,next_pos,deaths,checkpoints,registered_at) "
            "VALUES(?,?,1,?,0,0,?,?,0,'initialized',x'',0,0,x'',?,0,x'',x'',?,?,0,0,0,?)",
            (
                claim.uid,
                claim.process_id,
                claim.incarnation,
                claim.task_id,
                claim.description,
                at,
                Mode.UNKNOWN,
                next_seq,
                at,
            ),
        )
        process = self._load(ProcessKey(self._connection.last_insert_rowid()))
        assert process is not None
        return process

    def _write_process(self, change: Change, process: Process) -> Answer:
        answer: Answer = ()
        if change.progress is not None:
            self._progress(process, change.progress)
        if change.mode is not None:
            process.mode = change.mode
        if change.sequence is not None:
            process.sequence = change.sequence
        if change.deaths is not None:
            process.deaths = change.deaths
        if change.journal is not None:
            answer = self._append(change, process)
        if change.rewind is not None:
            self._rewind(change, process)
        if change.checkpoint is not None:
            answer = self._save(change.checkpoint, process)
        if change.tried is not None:
            self._execute("UPDATE checkpoint SET attempts=attempts+1 WHERE k=?", (change.tried,))
        if change.proven is not None:
            self._execute("UPDATE checkpoint SET attempts=0,proven_at=? WHERE k=?", (change.at, change.proven))
        if change.member is not None:
            self._execute("INSERT INTO member VALUES(?,?,?,x'')", (process.key, process.epoch, change.member))
            answer = (change.member,)
        if change.suspicion is not None:
            self._suspect(change, process)
        if change.act is not None:
            self._end(process, after(process.state, change.act), change.at)
            answer = answer or (process.state.word,)
        return answer

    def _progress(self, process: Process, now: ProgressNow) -> None:
        process.total, process.completed, process.step, process.batch = now.total, now.completed, now.step, now.batch
        process.metadata, process.speed, process.progress_at = now.metadata, now.speed, now.at

    def _append(self, change: Change, process: Process) -> Answer:
        journal, guard = change.journal, change.guard
        assert journal is not None
        member = guard.member if guard is not None else None
        rows: list[tuple[object, ...]] = []
        keyed: list[tuple[object, ...]] = []
        position = journal.position
        for record in journal.records:
            rows.append(
                (
                    process.key,
                    position,
                    process.epoch,
                    member,
                    record.kind,
                    record.ordinal,
                    record.item,
                    record.result,
                    change.at,
                )
            )
            if record.digest is not None:
                keyed.append((process.key, record.digest, position, record.kind))
            position += 1
            process.done += record.kind == DONE
            process.failed += record.kind == FAILED
        self._connection.executemany(
            "INSERT INTO journal(process,pos,epoch,member,kind,ordinal,item,result,at) VALUES(?,?,?,?,?,?,?,?,?)", rows
        )
        if keyed:
            self._connection.executemany("INSERT OR REPLACE INTO journal_item VALUES(?,?,?,?)", keyed)
        if journal.clears:
            cleared = [(process.key, item) for item in journal.clears]
            self._connection.executemany("DELETE FROM suspect WHERE process=? AND item=?", cleared)
        process.next_pos = max(process.next_pos, position)
        if rows:
            process.deaths = 0
        return (position, process.done, process.failed)

    def _rewind(self, change: Change, process: Process) -> None:
        back = change.rewind
        assert back is not None
        self._execute(
            "INSERT INTO journal_cut VALUES(?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
            "upto_pos=max(upto_pos,excluded.upto_pos),upto_seq=max(upto_seq,excluded.upto_seq),epoch=excluded.epoch",
            (process.key, back.after_position, back.upto_position, back.after_seq, back.upto_seq, process.epoch),
        )
        process.head = back.checkpoint
        assert change.progress is not None, "a rewind goes back to a progress"
        process.done, process.failed = change.progress.done, change.progress.failed

    def _save(self, new: NewCheckpoint, process: Process) -> Answer:
        seq = new.seq
        values = (
            process.key, seq, process.epoch, new.type, new.created_at, new.expires_at, new.logical_bytes, new.own_bytes,
            new.journal_position, new.schema_version, new.has_state, new.checksum, new.task_id, new.description,
            new.metadata, new.alias, new.manifest, new.small,
        )  # fmt: skip
        self._execute(_INSERT_CHECKPOINT, values)
        key = CheckpointKey(self._connection.last_insert_rowid())
        process.head, process.next_seq = key, max(process.next_seq, seq + 1)
        process.next_pos = max(process.next_pos, new.journal_position)
        process.checkpoints += 1
        self._count(process, new.type, 1)
        place = self._counts[process.uid, PLACE, Place.LIVE]
        place[0] += 1
        place[1] += new.logical_bytes
        place[2] += len(new.small) if new.small is not None else 0
        if new.parts or new.tags or new.depends or new.alias:
            self._relate(key, new, process)
        return (seq, new.created_at)

    def _relate(self, key: CheckpointKey, new: NewCheckpoint, process: Process) -> None:
        many = self._connection.executemany
        bodies = [
            (key, ordinal, extent, body)
            for ordinal, part in enumerate(new.parts)
            for extent, body in enumerate(part.bodies)
        ]
        many("INSERT INTO part VALUES(?,?,?,?)", bodies)
        many("UPDATE body SET refs=refs+1 WHERE k=?", [(body,) for _, _, _, body in bodies])
        many("INSERT OR IGNORE INTO tag VALUES(?,?)", [(tag, key) for tag in new.tags])
        many("INSERT OR IGNORE INTO dependency VALUES(?,?)", [(key, needed) for needed in new.depends])
        if new.alias is not None:
            old = self._execute(
                "SELECT checkpoint FROM alias WHERE uid=? AND id=?", (process.uid, new.alias)
            ).fetchone()
            if old is not None:
                self._trash(CheckpointKey(old[0]), new.created_at)  # type: ignore[arg-type]
            self._execute("INSERT OR REPLACE INTO alias VALUES(?,?,?)", (process.uid, new.alias, key))

    def _suspect(self, change: Change, process: Process) -> None:
        found = change.suspicion
        assert found is not None
        begin = "1" if found.restarts else "attempts+1"
        self._execute(
            f"INSERT INTO suspect VALUES(?,?,?,1,?) ON CONFLICT DO UPDATE SET attempts={begin},evidence=excluded.evidence",  # noqa: S608 - one of two words of ours
            (process.key, found.item, found.ordinal, found.evidence),
        )

    def _end(self, process: Process, state: State, at: int) -> None:
        self._restate(process, state, at)
        if state is not State.RUNNING:
            process.boot_id = process.pid = process.start = process.session = None

    def _restate(self, process: Process, state: State, at: int) -> None:
        before, now = STATUS_OF.get(process.state, 0), STATUS_OF.get(state, 0)
        if before != now:
            self._counts[process.uid, STATUS, before][0] -= process.checkpoints
            self._counts[process.uid, STATUS, now][0] += process.checkpoints
        process.state, process.ended_at = state, at

    def _count(self, process: Process, type_: int, n: int) -> None:
        self._counts[process.uid, STATUS, STATUS_OF.get(process.state, 0)][0] += n
        self._counts[process.uid, TYPE, type_][0] += n

    def _move(self, change: Change) -> int:
        moved = sum(self._trash(key, change.at) for key in change.to_trash)
        moved += sum(self._revive(key) for key in change.from_trash)
        for pinned, keys in ((1, change.pins), (0, change.unpins)):
            for key in keys:
                self._execute("UPDATE checkpoint SET pinned=? WHERE k=? AND place!=1", (pinned, key))
                moved += self._connection.changes()
        return moved

    def _trash(self, key: CheckpointKey, at: int) -> int:
        return self._transfer(key, Place.LIVE, Place.TRASH, at)

    def _revive(self, key: CheckpointKey) -> int:
        return self._transfer(key, Place.TRASH, Place.LIVE, None)

    def _transfer(self, key: CheckpointKey, source: Place, target: Place, at: int | None) -> int:
        row = self._execute(
            "SELECT process,type,logical,coalesce(length(small),0) FROM checkpoint WHERE k=? AND place=?", (key, source)
        ).fetchone()
        process = self._load(ProcessKey(row[0])) if row else None  # type: ignore[arg-type]
        if row is None or process is None:
            return 0
        # What was revived must not expire at the next look: it keeps until somebody ends it.
        expires = ",expires_at=NULL" if target is Place.LIVE else ""
        self._execute(f"UPDATE checkpoint SET place=?,ended_at=?{expires} WHERE k=?", (target, at, key))  # noqa: S608 - text of ours
        n = 1 if target is Place.LIVE else -1
        process.checkpoints += n
        self._count(process, CheckpointType(row[1]), n)  # type: ignore[arg-type]
        for place, sign in ((source, -1), (target, 1)):
            count = self._counts[process.uid, PLACE, place]
            count[0] += sign
            count[1] += sign * row[2]  # type: ignore[operator]
            count[2] += sign * row[3]  # type: ignore[operator]
        if process.head == key:
            self._rehead(process)
        return 1

    def _rehead(self, process: Process) -> None:
        row = self._execute(
            "SELECT k FROM checkpoint WHERE process=? AND place!=1 ORDER BY seq DESC LIMIT 1", (process.key,)
        ).fetchone()
        process.head = row[0] if row else None  # type: ignore[assignment]

    def trash(self, keys: Sequence[CheckpointKey], at: int) -> int:
        """Move checkpoints to the trash; how many were there to move."""
        return sum(self._trash(key, at) for key in keys)

    # Rows

    def _load(self, key: ProcessKey) -> Process | None:
        process = self._processes.get(key)
        if process is None:
            row = self._execute(_LOAD, (key,)).fetchone()
            if row is None:
                return None
            process = Process(*row)  # type: ignore[arg-type]
            process.state = State(process.state)
            process.answers = kept_answers.unpack(row[9])  # type: ignore[arg-type]
            self._processes[key] = process
        return process

    def _keep(self, change: Change, process: Process | None, request: RequestId, answer: Answer) -> None:
        guard = change.guard
        if guard is not None and guard.member is not None:
            place = (guard.process, guard.epoch, guard.member)
            row = self._execute("SELECT answers FROM member WHERE process=? AND epoch=? AND member=?", place).fetchone()
            answers = kept_answers.unpack(row[0]) if row else {}  # type: ignore[arg-type]
            kept_answers.add(answers, request, answer, change.at)
            self._execute("INSERT OR REPLACE INTO member VALUES(?,?,?,?)", (*place, kept_answers.pack(answers)))
        elif process is not None:
            kept_answers.add(process.answers, request, answer, change.at)
        else:
            row_values = (request.session, request.number, msgpack.packb(answer), change.at)
            self._execute("INSERT INTO request VALUES(?,?,?,?)", row_values)
            self._execute(
                "DELETE FROM request WHERE session=? AND seq<=?",
                (request.session, request.number - 2 * kept_answers.KEPT),
            )

    def flush(self) -> None:
        """Write what the changes touched: each process row once, each counter once."""
        self._connection.executemany(
            _STORE,
            [
                (
                    p.epoch, p.state, p.boot_id, p.pid, p.start, p.session, kept_answers.pack(p.answers), p.total, p.completed,
                    p.step, p.batch, p.metadata, p.done, p.failed, p.speed, p.progress_at, p.fingerprint, p.schema_version,
                    p.policy, p.abandon_after, p.sequence, p.mode, p.head, p.next_seq, p.next_pos, p.deaths, p.checkpoints,
                    p.task_id, p.description, p.registered_at, p.ended_at, p.key,
                )
                for p in self._processes.values()
            ],
        )  # fmt: skip
        self._connection.executemany(
            "INSERT INTO counter VALUES(?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
            "n=n+excluded.n,logical=logical+excluded.logical,stored=stored+excluded.stored",
            [(*key, *amounts) for key, amounts in self._counts.items() if any(amounts)],
        )


def fenced(process_id: str, epoch: int, newer: int) -> Fenced:
    """The error for a writer that no longer owns its process."""
    return Fenced(
        f"process {process_id} is at epoch {newer}, this worker has epoch {epoch}",
        hint="another worker took the process over: stop, and start again if you want to take it back",
        details={"process_id": process_id, "epoch": epoch, "newer_epoch": newer},
    )
