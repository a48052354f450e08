"""One change: found again, judged, written."""

from dataclasses import replace

from ckptclient.errors import Conflict, Fenced, Held, NotFound, UnknownOutcome
from ckptd.core.change import (
    Answer,
    Change,
    Claim,
    Guard,
    NewCheckpoint,
    Place,
    ProcessRow,
    ProgressNow,
    Rewind,
)
from ckptd.core.ids import CheckpointKey, Epoch, ProcessKey, RequestId
from ckptd.core.process_table import Act, Mode, State, after
from ckptd.store.catalog.interface import (
    Event,
    JournalRow,
    Suspect,
)
from ckptd.store.catalog.memory.tables import StoredCheckpoint, StoredProcess, StoredRecord, Tables, counts
from ckptd.store.records import RECORD_HEADER_BYTES

ANSWERS_KEPT = 64


class Applying:
    """One change on the tables of a transaction; a refusal is raised, and the caller throws the tables away."""

    def __init__(self, tables: Tables, change: Change) -> None:
        self.tables = tables
        self.change = change

    # Request ids

    def earlier(self, request: RequestId) -> Answer | None:
        """The first attempt's answer."""
        for place in self._places():
            kept = {
                n: a
                for (at, session, n), (a, _) in self.tables.answers.items()
                if (at, session) == (place, request.session)
            }
            if request.number in kept:
                return kept[request.number]
            if len(kept) >= ANSWERS_KEPT and request.number < min(kept):
                raise UnknownOutcome("older than the answers that are kept", hint="read the state of the process")
        return None

    def _places(self) -> list[object]:
        guard, claim = self.change.guard, self.change.claim
        if guard is not None and guard.member is not None:
            return [(guard.process, guard.epoch, guard.member)]
        if guard is not None:
            return [guard.process] if guard.signed else [guard.process, None]
        if claim is None:
            return [None]
        current = self.tables.current(claim.uid, claim.process_id)
        place = claim.process or (current and current.key)
        return [place] if claim.holder is not None else [place, None]

    def keep(self, request: RequestId, process: ProcessKey | None, answer: Answer) -> None:
        """Keep an answer where a repetition looks for it."""
        guard, claim = self.change.guard, self.change.claim
        place: object = None
        if guard is not None and guard.member is not None:
            place = (guard.process, guard.epoch, guard.member)
        elif (guard is not None and guard.epoch is not None) or (claim is not None and claim.holder is not None):
            place = process
        answers = self.tables.answers
        answers[place, request.session, request.number] = (answer, self.change.at)
        numbers = sorted(n for at, session, n in answers if (at, session) == (place, request.session))
        for number in numbers[:-ANSWERS_KEPT]:
            del answers[place, request.session, number]

    # Judging

    def check(self) -> ProcessKey | None:
        """Raise the refusal, or say which row is meant."""
        change, key, state = self.change, None, State.REGISTERED
        if change.claim is not None:
            key = self._check_claim(change.claim)
        elif change.guard is not None:
            key = self._check_guard(change.guard)
        if change.checkpoint is not None:
            for needed in change.checkpoint.depends:
                found = self.tables.checkpoints.get(needed)
                if found is None or found.place is Place.TRASH:
                    raise NotFound("a checkpoint in depends is gone", details={"what": "checkpoint"})
        if key is not None:
            state = self.tables.processes[key].row.state
        acts = [change.claim.act] if change.claim is not None and change.claim.holder is not None else []
        acts += [Act.SAVE] if change.checkpoint is not None else []
        acts += [change.act] if change.act is not None else []
        for act in acts:
            state = after(state, act)
        return key

    def _check_claim(self, claim: Claim) -> ProcessKey | None:
        current = self.tables.current(claim.uid, claim.process_id)
        if claim.process is None:
            if (current.key if current else None) != claim.retires:
                raise Conflict("somebody else registered the process at the same time")
            return None
        found = self.tables.processes.get(claim.process)
        if found is None:
            raise NotFound("the process is gone", details={"what": "process"})
        if not found.current or found.row.epoch != claim.seen_epoch:
            raise Conflict("somebody else took the process at the same time")
        return claim.process

    def _check_guard(self, guard: Guard) -> ProcessKey:
        found = self.tables.processes.get(guard.process)
        if found is None:
            raise NotFound("the process is gone", details={"what": "process"})
        row = found.row
        if guard.epoch is None:
            if self.change.checkpoint is not None and row.state is State.RUNNING:
                raise Held("the process has a live holder")
        elif guard.epoch != row.epoch:
            raise Fenced("a newer epoch exists", details={"newer_epoch": row.epoch})
        elif guard.member is not None and (row.key, guard.epoch, guard.member) not in self.tables.members:
            raise Fenced("no such member", details={"newer_epoch": row.epoch})
        if guard.expected_head is not None and guard.expected_head != row.head:
            raise Conflict("the head is another checkpoint")
        return row.key

    # Writing

    def update(self, key: ProcessKey, row: ProcessRow) -> None:
        """Put a process row back."""
        self.tables.processes[key] = replace(self.tables.processes[key], row=row)

    def write(self, key: ProcessKey | None) -> tuple[ProcessKey | None, Answer]:
        """Do all that the change says."""
        change, answers = self.change, list[Answer]()
        if change.claim is not None:
            key = self._claim(change.claim, key)
            answers.append((key, self.tables.processes[key].row.epoch))
        if key is not None:
            answers += self._process(key)
        moves = (change.to_trash, change.from_trash, change.pins, change.unpins)
        if any(moves):
            answers.append((self._move(),))
        for event in change.events:
            seq = self.tables.next("event")
            self.tables.events[seq] = Event(seq, change.at, event.kind, event.process_id, event.uid, dict(event.data))
        answer = answers[0] if answers else ()
        if change.checkpoint is not None:
            answer = (change.checkpoint.seq, change.checkpoint.created_at)
        return key, answer

    def _claim(self, claim: Claim, key: ProcessKey | None) -> ProcessKey:
        at, raises = self.change.at, key is not None or claim.holder is not None
        if key is None:
            key = self._new_process(claim)
        row = self.tables.processes[key].row
        if raises:
            row = replace(row, epoch=Epoch(row.epoch + 1))
            for member in [one for one in self.tables.members if one[0] == key]:
                del self.tables.members[member]
                self._forget((member[0], member[1], member[2]))
        if claim.holder is None:
            row = _without_holder(row, at)
        else:
            row = replace(
                row, state=after(row.state, claim.act), holder=claim.holder, registered_at=at, ended_at=None,
                task_id=claim.task_id or row.task_id, description=claim.description or row.description,
                fingerprint=claim.fingerprint, schema_version=claim.schema_version, policy=claim.policy or row.policy,
            )  # fmt: skip
            if claim.abandon_after is not None:
                self.tables.processes[key] = replace(self.tables.processes[key], abandon_after=claim.abandon_after)
        self.update(key, row)
        return key

    def _forget(self, place: object) -> None:
        for name in [one for one in self.tables.answers if one[0] == place]:
            del self.tables.answers[name]

    def _new_process(self, claim: Claim) -> ProcessKey:
        at, seq = self.change.at, 1
        if claim.retires is not None:
            old = self.tables.processes[claim.retires]
            seq = old.row.next_seq
            row = _without_holder(replace(old.row, epoch=Epoch(old.row.epoch + 1)), at)
            self.tables.processes[claim.retires] = replace(old, row=row, current=False)
        key = ProcessKey(self.tables.next("process"))
        row = ProcessRow(
            key, claim.uid, claim.process_id, claim.incarnation, Epoch(0), State.REGISTERED, claim.task_id,
            claim.description, None, ProgressNow(None, 0, "initialized", None, b"", 0, 0, b"", at), None, 0, b"", b"",
            Mode.UNKNOWN, None, seq, 0, 0, at, None,
        )  # fmt: skip
        self.tables.processes[key] = StoredProcess(row, current=True, abandon_after=None)
        return key

    def _process(self, key: ProcessKey) -> list[Answer]:
        change, answers = self.change, list[Answer]()
        row = self.tables.processes[key].row
        if change.progress is not None:
            counts = row.progress
            row = replace(row, progress=replace(change.progress, done=counts.done, failed=counts.failed))
        row = replace(
            row,
            mode=change.mode if change.mode is not None else row.mode,
            sequence=change.sequence if change.sequence is not None else row.sequence,
            deaths=change.deaths if change.deaths is not None else row.deaths,
        )
        self.update(key, row)
        if change.journal is not None:
            answers.append(self._append(key))
        if change.rewind is not None:
            self._rewind(key, change.rewind)
        if change.suspicion is not None:
            self._suspect(key)
        if change.checkpoint is not None:
            self._save(key, change.checkpoint)
        self._tried()
        if change.member is not None:
            self.tables.members[key, self.tables.processes[key].row.epoch, change.member] = None
            answers.append((change.member,))
        if change.act is not None:
            row = self.tables.processes[key].row
            state = after(row.state, change.act)
            row = replace(row, state=state)
            self.update(key, row if state is State.RUNNING else replace(row, holder=None, ended_at=change.at))
            answers.append((state.word,))
        return answers

    def _append(self, key: ProcessKey) -> Answer:
        journal, row = self.change.journal, self.tables.processes[key].row
        assert journal is not None
        position, before = journal.position, counts(self.tables.standing(key))
        for one in journal.records:
            record = JournalRow(position, one.kind, one.ordinal, one.item, one.result, self.change.at)
            name = (one.ordinal, None if one.ordinal is not None else one.digest)
            self.tables.journal[key, position] = StoredRecord(record, name)
            position += 1
        for item in journal.clears:
            self.tables.suspects.pop((key, item), None)
        now = counts(self.tables.standing(key))
        # By difference: a rewind sets the counts, and may have set others than what stands in the journal.
        done, failed = row.progress.done + now[0] - before[0], row.progress.failed + now[1] - before[1]
        row = replace(row, next_position=max(row.next_position, position), deaths=0 if journal.records else row.deaths)
        self.update(key, replace(row, progress=replace(row.progress, done=done, failed=failed)))
        return position, done, failed

    def _rewind(self, key: ProcessKey, back: Rewind) -> None:
        row, said = self.tables.processes[key].row, self.change.progress
        assert said is not None
        self.tables.rewinds[key] = (*self.tables.rewinds.get(key, ()), back)
        row = replace(row, progress=replace(row.progress, done=said.done, failed=said.failed), head=back.checkpoint)
        seq, position = max(row.next_seq, back.upto_seq + 1), max(row.next_position, back.upto_position)
        self.update(key, replace(row, next_seq=seq, next_position=position))

    def _suspect(self, key: ProcessKey) -> None:
        found = self.change.suspicion
        assert found is not None
        old = self.tables.suspects.get((key, found.item))
        attempts = 1 if old is None or found.restarts else old.attempts + 1
        self.tables.suspects[key, found.item] = Suspect(found.item, found.ordinal, attempts, found.evidence)

    def _save(self, process: ProcessKey, new: NewCheckpoint) -> None:
        row, key = self.tables.processes[process].row, CheckpointKey(self.tables.next("checkpoint"))
        self.tables.checkpoints[key] = StoredCheckpoint(
            new, process, row.epoch, alias=new.alias, expires_at=new.expires_at, note=new.note
        )
        if new.note is not None:
            self.tables.reach(new.note.pack, new.note.offset + RECORD_HEADER_BYTES + new.note.stored_bytes)
        seq, position = max(row.next_seq, new.seq + 1), max(row.next_position, new.journal_position)
        self.update(process, replace(row, head=key, next_seq=seq, next_position=position))
        if new.alias is not None:
            old = self.tables.aliases.get((row.uid, new.alias))
            if old is not None:
                for place in (Place.LIVE, Place.ARCHIVED):
                    self.place(old, place, Place.TRASH, new.created_at)
            self.tables.aliases[row.uid, new.alias] = key

    def _tried(self) -> None:
        checkpoints = self.tables.checkpoints
        for key, count in ((self.change.tried, 1), (self.change.proven, 0)):
            if key is not None and key in checkpoints:
                one = checkpoints[key]
                proven_at = one.proven_at if count else self.change.at
                checkpoints[key] = replace(one, attempts=one.attempts + 1 if count else 0, proven_at=proven_at)

    def _move(self) -> int:
        change, checkpoints = self.change, self.tables.checkpoints
        moved = sum(
            self.place(key, Place.LIVE, Place.TRASH, change.at)
            or self.place(key, Place.ARCHIVED, Place.TRASH, change.at)
            for key in change.to_trash
        )
        for key in change.from_trash:
            home = Place.ARCHIVED if key in checkpoints and checkpoints[key].archive else Place.LIVE
            if self.place(key, Place.TRASH, home, None):
                moved += 1
                one = checkpoints[key]
                uid = self.tables.processes[one.process].row.uid
                alias = one.alias if one.alias and self.tables.aliases.get((uid, one.alias)) == key else None
                never = one.expires_at is None or change.revived_until is None
                until = None if never else max(one.expires_at or 0, change.revived_until or 0)
                checkpoints[key] = replace(one, expires_at=until, alias=alias)
        for keys, pinned in ((change.pins, True), (change.unpins, False)):
            for key in keys:
                if key in checkpoints and checkpoints[key].place is not Place.TRASH:
                    checkpoints[key] = replace(checkpoints[key], pinned=pinned)
                    moved += 1
        return moved

    def place(self, key: CheckpointKey, source: Place, target: Place, at: int | None) -> bool:
        """Move a checkpoint, if it is where it should be."""
        one = self.tables.checkpoints.get(key)
        if one is None or one.place is not source:
            return False
        self.tables.checkpoints[key] = replace(one, place=target, ended_at=at)
        row = self.tables.processes[one.process].row
        if target is not Place.TRASH or row.head == key:
            newest = self.tables.candidates(one.process, False)
            self.update(one.process, replace(row, head=newest[0] if newest else None))
        return True


def _without_holder(row: ProcessRow, at: int) -> ProcessRow:
    running = row.state is State.RUNNING
    state, ended_at = (State.INTERRUPTED, at) if running else (row.state, row.ended_at)
    return replace(row, holder=None, state=state, ended_at=ended_at)
