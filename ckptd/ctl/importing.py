"""The verb `import`: one export file becomes a checkpoint of a process that nobody holds.

The whole file is read and checked before the daemon hears of it, and once more while it is sent: the save comes after
the file's last hash. What is imported is named after its content, so that a second import finds the first.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import UnionType
from typing import BinaryIO, Final

import msgpack

from ckptclient import calls, results
from ckptclient.calls import UNNUMBERED
from ckptclient.errors import BadRequest, CkptdError, Conflict, Damaged, NotFound
from ckptclient.wire import params
from ckptd.ctl import documents, moments, sending, shown
from ckptd.ctl.answer import Answer, done
from ckptd.ctl.exporting import PROGRESS_PART
from ckptd.ctl.progressing import Bar
from ckptd.ctl.session import Session
from ckptd.store.export import Description, ExportedPart, Reading, read_export

_NAME_DIGITS: Final = 16
_PROGRESS_BYTES_MAX: Final = 1 << 20
_PROGRESS: Final[Mapping[str, type | UnionType]] = {
    "total": int | None,
    "completed": int,
    "step": str,
    "batch": str | None,
    "metadata": bytes,
    "done": int,
    "failed": int,
    "updated_at": int,
}


def import_(session: Session, *, file: str, process: str | None, ttl: str) -> Answer:
    """Make a checkpoint of an export file, or find the one that an earlier import of it made."""
    ttl_seconds = moments.seconds(ttl)
    path = Path(file)
    with _opened(path) as source:
        read = _checked(session, path, source)
        description = read.description
        target = process or description.process_id
        name = f"{target}_{description.type}_imported_{_digest(read).hex()[:_NAME_DIGITS]}"
        there = _find(session, name)
        if there is not None:
            return _done(f"{path} was imported before: {name}", there, read, imported=False, left_out=[])
        if process is None:
            _refuse_taken(session, target, path)
        depends = [one for one in description.depends if _find(session, one) is not None]
        wanted = _save(session, description, target, name, tuple(depends), ttl_seconds)
        source.seek(0)
        with Bar(session, f"importing {path.name}", _plain_bytes(read.parts)) as bar:
            saved = sending.save(session, wanted, _parts(read_export(source), bar))
    left_out = [one for one in description.depends if one not in depends]
    line = f"imported {saved.checkpoint_id} from {path}: {shown.size(_plain_bytes(read.parts))}"
    answer = _done(line, saved, read, imported=True, left_out=left_out)
    notes = [f"it depended on {one}, which isn't here: the import doesn't" for one in left_out]
    if description.journal_position:
        notes.append(
            f"its process had a result journal of {description.journal_position} records, which no export carries: a loop"
            " that takes this state up begins with its first item"
        )
    return Answer(answer.document, answer.blocks, notes)


def _checked(session: Session, path: Path, source: BinaryIO) -> Reading:
    read = read_export(source)
    with Bar(session, f"checking {path.name}", _plain_bytes(read.parts)) as bar:
        for part, pieces in read.contents():
            if part.name == PROGRESS_PART:
                _check_progress(b"".join(bar.through(pieces)) if part.size_bytes <= _PROGRESS_BYTES_MAX else b"")
            for _ in bar.through(pieces):
                pass
    return read


def _check_progress(raw: bytes) -> None:
    """The one part that the daemon itself reads, when a worker takes the checkpoint up."""
    try:
        found = msgpack.unpackb(raw)
    except (ValueError, TypeError, msgpack.UnpackException):
        found = None
    if not isinstance(found, dict) or any(not isinstance(found.get(name), kind) for name, kind in _PROGRESS.items()):
        raise Damaged(f"part {PROGRESS_PART} of the export doesn't say where a process stood")


def _parts(read: Reading, bar: Bar) -> list[sending.Sent]:
    """Each part with its bytes; the last one gives its end only once the file as a whole was checked."""
    contents = read.contents()

    def drawn(last: bool) -> Iterator[bytes]:
        _, pieces = next(contents)
        yield from bar.through(pieces)
        if last:
            for _ in contents:
                raise AssertionError("there is no part behind the last")

    plans = [params.PartPlan(name=part.name, form=part.form, size_bytes=part.size_bytes) for part in read.parts]
    return [sending.Sent(plan, drawn(plan is plans[-1])) for plan in plans]


def _digest(read: Reading) -> bytes:
    """What the checkpoint is, whoever exported it and when: its kind, its time and the hashes of its plain bytes."""
    said = read.description
    parts = [[part.name, part.form, digest] for part, digest in zip(read.parts, read.hashes, strict=True)]
    return sha256(msgpack.packb([said.type, said.created_at, said.has_state, said.metadata, parts])).digest()


def _find(session: Session, name: str) -> results.CheckpointContent | None:
    try:
        return session.call(calls.get(name, data=False))
    except NotFound:
        return None


def _refuse_taken(session: Session, target: str, path: Path) -> None:
    """What is imported becomes the newest checkpoint of its process: into one that works here, only where it was named."""
    try:
        info = session.call(calls.show(target))
    except NotFound:
        return
    if info.epoch:
        quoted = shlex.quote(str(path))
        raise Conflict(
            f"there is a process {target} here, and its next recovery would find the import",
            hint=f"ckptctl import {quoted} --process OTHER; --process {shlex.quote(target)} where that is what you want",
        )


def _save(
    session: Session, said: Description, target: str, name: str, depends: tuple[str, ...], ttl_seconds: float
) -> params.Save:
    # A checkpoint's life counts from when it was made, which may be long ago.
    age_seconds = max(0.0, (session.world.clock.now() - said.created_at) / 1e6)
    return params.Save(
        request=UNNUMBERED,
        process_id=target,
        task_id=said.task_id,
        type=said.type,
        has_state=said.has_state,
        description=said.description,
        tags=said.tags,
        ttl_seconds=age_seconds + ttl_seconds,
        depends=depends,
        metadata=said.metadata or None,
        alias=name,
        created_at=max(0, said.created_at),
    )


def _plain_bytes(parts: tuple[ExportedPart, ...]) -> int:
    return sum(part.size_bytes for part in parts)


def _done(
    line: str, found: results.SavedInfo | results.CheckpointInfo, read: Reading, *, imported: bool, left_out: list[str]
) -> Answer:
    return done(
        line,
        checkpoint_id=found.checkpoint_id,
        seq=found.seq,
        created_at=documents.time_of(found.created_at),
        expires_at=documents.time_of(found.expires_at),
        imported=imported,
        original_id=read.description.checkpoint_id,
        size_bytes=_plain_bytes(read.parts),
        left_out=left_out,
    )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as source:
            source.seek(0)
            yield source
    except OSError as error:
        if isinstance(error, CkptdError):  # some of ours are both
            raise
        raise BadRequest(
            f"{path} can't be read: {error.strerror or error}", hint="name a file that you may read"
        ) from error
