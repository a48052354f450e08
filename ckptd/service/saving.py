"""Making checkpoints: from checked parameters to one change.

A small save is put together on the loop without waiting for anything, and its place in the order is that of the
calls. A larger one is cut, hashed and encoded by `ingest` first; later saves of the same process wait behind it, and
its number and its position in the journal are those of the moment it was asked for.
Not for: finding and reading checkpoints (`browsing`).
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from ckptclient.errors import BadRequest, Conflict, NoSpace
from ckptclient.wire import params
from ckptd.core import lease, manifest
from ckptd.core.cadence import smooth_cost
from ckptd.core.change import (
    Answer,
    Change,
    CheckpointType,
    Claim,
    Guard,
    ManifestPart,
    NewCheckpoint,
    ProgressNow,
)
from ckptd.core.ids import CheckpointKey, Epoch, RequestId
from ckptd.core.lifetimes import lifetime_class
from ckptd.core.naming import checkpoint_id
from ckptd.core.process_table import ENDS, Act, Mode, State
from ckptd.core.retention import Lifetimes, expires_at
from ckptd.core.values import value
from ckptd.errors import StoreFailed
from ckptd.service import policies
from ckptd.service.behind import Behind
from ckptd.service.browsing import Browsing
from ckptd.service.caller import Caller
from ckptd.service.context import Context
from ckptd.service.passing import Passing
from ckptd.service.processes import Processes, end_event, take_progress
from ckptd.service.space import Space
from ckptd.service.table import Entry
from ckptd.service.uploads import Upload, Uploads
from ckptd.service.views import PROGRESS_FORM, PROGRESS_PART, Map, progress_part
from ckptd.store.ingest import Ingest, Memory, Part, Spool
from ckptd.store.prepared import Prepared

_TYPES = {kind.word: kind for kind in CheckpointType}

_Place = tuple[Entry, Guard] | tuple[None, None]


@value
class _Asked:
    """A save that was admitted: who saves for which process, and what was fixed at that moment."""

    caller: Caller
    p: params.Save
    process_id: str
    entry: Entry | None
    guard: Guard | None
    claim: Claim | None
    seq: int
    position: int
    at: int
    expires_at: int | None
    progress_part: tuple[bytes, ManifestPart] | None
    mode: Mode | None
    depends: tuple[CheckpointKey, ...] = ()

    @property
    def session(self) -> bytes:
        """Under which the request's number is kept.

        What is persisted behind its answer may take longer than the mutations that follow it are remembered: such
        saves have a numbering of their own.
        """
        session = self.caller.session
        return bytes([session[0] ^ 0x80]) + session[1:] if isinstance(self.p, params.Stage) else session


class Saving:
    """`checkpoint.save` and the uploads that feed it."""

    def __init__(
        self,
        context: Context,
        processes: Processes,
        browsing: Browsing,
        uploads: Uploads,
        ingest: Ingest,
        space: Space,
        fatal: Callable[[StoreFailed], None],
    ) -> None:
        self._context = context
        self._processes = processes
        self._browsing = browsing
        self._uploads = uploads
        self._ingest = ingest
        self._space = space
        self._fatal = fatal
        self.behind: Final = Behind()

    # Uploads

    def open_upload(self, caller: Caller, p: params.OpenUpload) -> Map:
        """Begin an upload; what it announces must fit. In shared memory where that is asked for and can be had."""
        self._space.admit(sum(part.size_bytes for part in p.parts))
        if p.staging:
            with suppress(NoSpace, OSError):
                return self._stage(caller, p.parts)
        return {"upload": self._uploads.open(caller, p.parts), "buffer": None, "dropped": [], "descriptors": None}

    def _stage(self, caller: Caller, plan: Sequence[params.PartPlan]) -> Map:
        number, taken = self._uploads.stage(caller, plan)
        answer = {"upload": number, "buffer": taken.buffer.number, "dropped": list(taken.dropped), "descriptors": None}
        return Passing(answer, [os.dup(taken.buffer.fd)]) if taken.fresh else answer

    def release_buffer(self, caller: Caller, p: params.ReleaseBuffer) -> Map:
        """Give an idle staging buffer back."""
        return {"released": self._uploads.staging.release(caller.connection, p.buffer)}

    async def write_part(self, caller: Caller, p: params.WritePart) -> Map:
        """A piece of an upload."""
        upload = self._uploads.find(caller, p.upload)
        await self._context.backend.read(lambda _: self._uploads.write(upload, p))
        return {}

    def close_upload(self, caller: Caller, p: params.CloseUpload) -> Map:
        """Forget an upload."""
        self._uploads.take(caller, p.upload).close()
        return {}

    def dropped(self, connection: int) -> None:
        """A connection ended."""
        self._uploads.drop(connection)
        self.behind.dropped(connection)

    # Saves

    def save(self, caller: Caller, p: params.Save) -> "asyncio.Future[Map]":
        """Make a checkpoint; the reply comes when it is on disk."""
        if p.upload is None and not p.depends and p.expected_head is None:
            entry, guard = self._held(caller, p.token) if p.token is not None else self._ownerless(caller, p.process_id)
            if entry is not None:
                asked = self._admit(caller, p, entry, guard)
                if entry.queue is None and self._is_inline(asked):
                    return self._submit(asked, *_inline(asked))
                return asyncio.ensure_future(self._in_turn(asked, _Turn(entry)))  # noqa: TID251 - dispatch owns it
        return asyncio.ensure_future(self._found_out(caller, p))  # noqa: TID251 - dispatch owns it

    def _held(self, caller: Caller, token: bytes) -> _Place:
        """The entry that a token writes to; none where it isn't in memory."""
        found = self._context.admitted(caller, token)
        if found is None:
            return None, None
        entry, read = found
        return entry, Guard(entry.key, read.epoch, read.member)

    def _ownerless(self, caller: Caller, process_id: str | None, *, claimed: bool = False) -> _Place:
        """The entry of a process that nobody holds, or this session; none where there is none, or who knows in a moment."""
        context = self._context
        if process_id is None or (not claimed and context.table.claimed(caller.uid, process_id)):
            return None, None
        row = context.backend.peek(lambda reader: reader.process(caller.uid, process_id))
        if row is None:
            return None, None
        entry = context.table.get(row.key) or context.table.take_in(row, context.clock.now())
        return entry, self._outsider(caller, entry)

    async def _found_out(self, caller: Caller, p: params.Save) -> Map:
        """A save that needs to look something up first."""
        depends = tuple([(await self._browsing.find(caller, name)).key for name in p.depends])
        if p.token is None:
            return await self._claiming(caller, p, depends)
        entry, token = await self._context.entry(caller, p.token)
        head = (await self._browsing.find(caller, p.expected_head)).key if p.expected_head else None
        asked = self._admit(caller, p, entry, Guard(entry.key, token.epoch, token.member, head))
        return await self._in_turn(replace(asked, depends=depends), _Turn(entry))

    async def stage(self, caller: Caller, p: params.Stage) -> Map:
        """A save of an upload that is answered once it is admitted, and persisted behind the answer."""
        if p.token is None or p.upload is None:
            raise BadRequest("only a held process's upload can be staged", hint="call checkpoint.save")
        asked, entry = await self._staged(caller, p, p.token)
        # The upload is taken now, when nothing can refuse the save for a moment: it outlives its connection from here on.
        upload = self._uploads.take(caller, p.upload)
        work = self._in_turn(asked, _Turn(entry), upload)
        name = p.alias or checkpoint_id(asked.process_id, _TYPES[p.type], asked.seq)
        self.behind.start(caller.connection, (caller.uid, name), work)
        due = self._context.tick(entry, self._context.clock.now())
        return {
            "checkpoint_id": name,
            "seq": asked.seq,
            "created_at": asked.at,
            "expires_at": asked.expires_at,
            "level": "memory",
            "due": due,
            "position": asked.position,
        }

    async def _staged(self, caller: Caller, p: params.Stage, token: bytes) -> tuple[_Asked, Entry]:
        depends = tuple([(await self._browsing.find(caller, name)).key for name in p.depends])
        entry, read = await self._context.entry(caller, token)
        guard = Guard(entry.key, read.epoch, read.member)
        if p.position is None:
            return replace(self._admit(caller, p, entry, guard), depends=depends), entry
        again = await self._admitted_before(entry, p, p.position)
        asked = self._admit(caller, p.having(progress=None), entry, guard)
        return replace(asked, depends=depends, position=p.position, progress_part=again), entry

    async def _admitted_before(self, entry: Entry, p: params.Save, position: int) -> tuple[bytes, ManifestPart]:
        """The progress part of a save that an earlier daemon had admitted and didn't persist.

        What was recorded since is not in its state, so it keeps the place in the journal that it was given.
        """
        if position > entry.next_position:
            raise BadRequest(
                f"position {position} is ahead of the journal", hint=f"accepted: up to {entry.next_position}"
            )
        done, failed = await self._context.backend.read(lambda reader: reader.journal_counts(entry.key, position))
        now, said = entry.progress(), p.progress or params.Progress()
        return _packed(
            replace(
                now,
                total=said.total if said.total is not None else now.total,
                completed=said.completed if said.completed is not None else now.completed,
                step=said.step if said.step is not None else now.step,
                batch=said.batch if said.batch is not None else now.batch,
                metadata=said.metadata if said.metadata is not None else now.metadata,
                done=done,
                failed=failed,
            )
        )

    async def wait(self, caller: Caller, p: params.WaitCheckpoint) -> Map:
        """Answer once a checkpoint has the level: what is visible is on disk, what is behind is in memory."""
        saved = (caller.uid, p.checkpoint_id)
        if p.level == "memory" and self.behind.has(saved):
            return {"level": "memory", "checkpoint_id": p.checkpoint_id}
        made = await self.behind.outcome(saved)
        if made is None:
            return await self._browsing.wait(caller, p)
        return {"level": "disk", "checkpoint_id": made["checkpoint_id"]}

    async def _claiming(self, caller: Caller, p: params.Save, depends: tuple[CheckpointKey, ...]) -> Map:
        """A checkpoint without a token, of a process that may have to be made for it."""
        if p.process_id is None:
            raise BadRequest("a save needs a token or a process_id", hint="send the token that process.register gave")
        async with self._context.table.claiming(caller.uid, p.process_id):
            entry, guard = self._ownerless(caller, p.process_id, claimed=True)
            asked = replace(self._admit(caller, p, entry, guard), depends=depends)
            return await self._in_turn(asked, _Turn(entry))

    def _outsider(self, caller: Caller, entry: Entry) -> Guard:
        if entry.state is not State.RUNNING or entry.holder is None:
            return Guard(entry.key, None, outsider=True)
        holding = lease.Holding(
            entry.process_id, entry.state, entry.holder, self._context.workers.alive(entry.holder), bool(entry.connections),
            entry.registered_at, entry.heard_at,
        )  # fmt: skip
        now, seconds = self._context.clock.now(), self._context.config().process.lease_seconds
        lease.outsider(holding, caller.session, now=now, lease_seconds=seconds)
        return Guard(entry.key, entry.epoch, outsider=True)

    def _admit(self, caller: Caller, p: params.Save, entry: Entry | None, guard: Guard | None) -> _Asked:
        """Fix number, position and progress; from here on its order is fixed."""
        context, now = self._context, self._context.clock.now()
        mode = self._mode(entry, p)
        at = p.created_at if p.created_at is not None else now
        asked_ttl = p.ttl_seconds if p.ttl_seconds is not None else entry.ttl_seconds if entry else None
        retention = context.config().retention
        if asked_ttl is None and retention.policies:
            uid, process_id = (entry.uid, entry.process_id) if entry else (caller.uid, p.process_id or "")
            asked_ttl = policies.ttl_seconds(retention, uid, process_id)
        lifetimes = Lifetimes(retention.ttl_seconds, retention.completed_ttl_seconds)
        begun = at if p.created_at is not None else max(at, context.floor)
        expires = expires_at(begun, asked_ttl, lifetimes, p.ends == "completed")
        if entry is None:
            process_id = p.process_id or ""
            claim = Claim(caller.uid, process_id, None, None, None, Act.SAVE, task_id=p.task_id or "")
            return _Asked(caller, p, process_id, None, None, claim, 1, 0, at, expires, None, mode)
        held = guard is not None and guard.epoch is not None
        if held:
            assert guard is not None
            _refuse_our_name([part.name for part in p.parts])
            take_progress(entry, p.progress, guard.member, now)
            entry.went_well()
        seq, entry.next_seq = entry.next_seq, entry.next_seq + 1
        standing = _progress_part(entry) if held else None
        return _Asked(
            caller, p, entry.process_id, entry, guard, None, seq, entry.next_position, at, expires, standing, mode
        )

    def _mode(self, entry: Entry | None, p: params.Save) -> Mode | None:
        """What a state makes of the process's mode; None leaves it. Members and rewinds make a mixture dangerous."""
        if entry is None or not p.has_state or p.ends is not None or entry.epoch == 0:
            return None
        if entry.mode is Mode.ITEMS:
            raise Conflict(
                f"process {entry.process_id} resumed by its recorded items, without a state: a state saved now would lack them",
                hint="keep the results in the journal, or register with fresh=True and save a state from the beginning",
            )
        if entry.mode is Mode.UNKNOWN:
            entry.mode = Mode.STATEFUL
            return Mode.STATEFUL
        return None

    def _is_inline(self, asked: _Asked) -> bool:
        size = sum([len(part.data) for part in asked.p.parts])
        if asked.progress_part is not None:
            size += len(asked.progress_part[0])
        return asked.p.upload is None and size <= self._context.config().store.inline_bytes_max

    async def _in_turn(self, asked: _Asked, turn: "_Turn", upload: Upload | None = None) -> Map:
        """Ingest what isn't inline, in threads; then, when those before it have gone, to the committer."""
        try:
            if upload is None and asked.p.upload is not None:
                upload = self._uploads.take(asked.caller, asked.p.upload)
            if upload is not None:
                upload.check_whole()
                if asked.progress_part is not None:
                    _refuse_our_name(part.name for part in upload.parts)
            if self._is_inline(asked):
                await turn.comes()
                saved = self._submit(asked, *_inline(asked))
            else:
                parts = _parts(asked, upload)
                if upload is None:
                    self._space.admit(sum(part.source.size_bytes for part in parts))
                payload = await asyncio.to_thread(self._prepare, asked, parts)
                await turn.comes()
                saved = self._submit(asked, payload.parts, None, payload)
        finally:
            if upload is not None:
                upload.close()
            turn.leave()
        return await saved

    def _prepare(self, asked: _Asked, parts: Sequence[Part]) -> Prepared:
        try:
            return self._ingest.prepare(
                asked.caller.uid,
                parts,
                asked.at,
                asked.entry.key if asked.entry is not None else None,
                lifetime_class(asked.at, asked.expires_at),
            )
        except StoreFailed as failed:
            self._fatal(failed)
            raise

    def _submit(
        self, asked: _Asked, parts: Sequence[ManifestPart], small: bytes | None, payload: Prepared | None = None
    ) -> "asyncio.Future[Map]":
        p, entry = asked.p, asked.entry
        new = _checkpoint(asked, parts, small, payload)
        if payload is not None:
            payload.describe(asked.process_id, asked.guard.epoch or Epoch(0) if asked.guard else Epoch(0), new)
        else:
            self._space.admit(new.own_bytes)
        act = ENDS[p.ends] if p.ends is not None else None
        change = Change(
            self._context.clock.now(),
            asked.caller.uid,
            RequestId(asked.session, p.request),
            asked.guard,
            asked.claim,
            new,
            act=act,
            mode=asked.mode,
            progress=entry.progress() if entry is not None and asked.progress_part is not None else None,
            proven=entry.take_proven() if entry is not None else None,
            events=(end_event(entry, p.ends, p.error),) if entry is not None and p.ends is not None else (),
        )
        if entry is None:
            return self._context.backend.submit(change, lambda answer: self._answer(asked, answer), payload)
        entry.in_flight += 1
        entry.dirty = False
        return self._context.backend.submit(change, lambda answer: self._saved(asked, answer), payload, entry.landed)

    def _saved(self, asked: _Asked, answer: Answer) -> Map:
        """On disk: what the table learns of it, and the reply."""
        entry, p, now = asked.entry, asked.p, self._context.clock.now()
        assert entry is not None
        entry.last_checkpoint_at, entry.last_checkpoint_completed = now, entry.completed_now
        if p.cost_seconds > 0:
            entry.save_cost_seconds = smooth_cost(entry.save_cost_seconds, p.cost_seconds)
        if p.ends is not None:
            self._processes.ended(entry, ENDS[p.ends])
        return self._answer(asked, answer)

    def _answer(self, asked: _Asked, answer: Answer) -> Map:
        seq, created_at = answer
        assert isinstance(seq, int)
        self._context.metrics.count("saves_total")
        name = asked.p.alias or checkpoint_id(asked.process_id, _TYPES[asked.p.type], seq)
        due = self._context.tick(asked.entry, self._context.clock.now()) if asked.entry is not None else None
        return {
            "checkpoint_id": name,
            "seq": seq,
            "created_at": created_at,
            "expires_at": asked.expires_at,
            "level": "disk",
            "due": due,
        }


def _refuse_our_name(names: Iterable[str]) -> None:
    if PROGRESS_PART in names:
        raise BadRequest(
            f"a part can't be named {PROGRESS_PART!r}: the daemon adds one of that name", hint="choose another name"
        )


class _Turn:
    """A save's place behind those of its process that were admitted before; taken at admission, left at submission."""

    def __init__(self, entry: Entry | None) -> None:
        self._entry = entry
        self._mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._before: asyncio.Future[None] | None = None
        if entry is not None:
            self._before, entry.queue = entry.queue, self._mine
            entry.in_flight += 1

    async def comes(self) -> None:
        """Wait until all before have left."""
        if self._before is not None:
            await asyncio.shield(self._before)

    def leave(self) -> None:
        """Let the next one go; a save that failed before its turn came leaves when those before it have."""
        if self._before is not None and not self._before.done():
            self._before.add_done_callback(lambda _: self._go())
        else:
            self._go()

    def _go(self) -> None:
        self._mine.set_result(None)
        entry = self._entry
        if entry is not None:
            entry.landed()
            if entry.queue is self._mine:
                entry.queue = None


def _inline(asked: _Asked) -> tuple[Sequence[ManifestPart], bytes]:
    """The parts of a small save, and their bytes end to end."""
    parts = [
        ManifestPart(part.name, part.form, len(part.data), manifest.inline_hash(part.data)) for part in asked.p.parts
    ]
    pieces = [part.data for part in asked.p.parts]
    if asked.progress_part is not None:
        pieces.append(asked.progress_part[0])
        parts.append(asked.progress_part[1])
    return parts, b"".join(pieces)


def _progress_part(entry: Entry) -> tuple[bytes, ManifestPart]:
    """The part that says where the process stood, and its bytes; packed anew only when something was said since."""
    standing = entry.progress()
    if entry.progress_part is None:
        entry.progress_part = _packed(standing)
    return entry.progress_part


def _packed(standing: ProgressNow) -> tuple[bytes, ManifestPart]:
    packed = progress_part(standing)
    return packed, ManifestPart(PROGRESS_PART, PROGRESS_FORM, len(packed), manifest.inline_hash(packed))


def _parts(asked: _Asked, upload: Upload | None) -> Sequence[Part]:
    """The parts of a larger save, wherever their bytes are."""
    parts = [Part(part.name, part.form, Memory(part.data)) for part in asked.p.parts]
    if upload is not None:
        parts += [
            Part(plan.name, plan.form, Spool(upload.fd, plan.size_bytes, begin))
            for plan, begin in zip(upload.parts, upload.begins, strict=True)
        ]
    if asked.progress_part is not None:
        parts.append(Part(PROGRESS_PART, PROGRESS_FORM, Memory(asked.progress_part[0])))
    return parts


def _checkpoint(
    asked: _Asked, parts: Sequence[ManifestPart], small: bytes | None, payload: Prepared | None
) -> NewCheckpoint:
    p, entry = asked.p, asked.entry
    packed = manifest.pack(parts)
    logical = sum([part.size_bytes for part in parts])
    return NewCheckpoint(
        seq=asked.seq,
        type=_TYPES[p.type],
        created_at=asked.at,
        expires_at=asked.expires_at,
        task_id=p.task_id if p.task_id is not None else entry.task_id if entry else "",
        description=p.description,
        metadata=p.metadata or b"",
        tags=p.tags,
        depends=asked.depends,
        manifest=packed,
        checksum=manifest.checksum(packed),
        parts=() if payload is None else tuple(parts),
        small=small,
        logical_bytes=logical,
        own_bytes=logical if payload is None else payload.own_bytes,
        journal_position=asked.position,
        has_state=p.has_state,
        schema_version=entry.schema_version if entry else 0,
        alias=p.alias,
    )
