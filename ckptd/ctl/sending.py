"""The verb that brings files in, `put`, and how parts reach the daemon: inside the save, or ahead of it in pieces."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgpack

from ckptclient import calls, results
from ckptclient.calls import UNNUMBERED
from ckptclient.errors import BadRequest, Conflict
from ckptclient.wire import limits, params
from ckptd.ctl import documents, moments, shown
from ckptd.ctl.answer import Answer, done
from ckptd.ctl.session import Answered, Session

PIECES_AHEAD: Final = 8
"""Pieces sent before the first is answered."""

FILE_FORM: Final[bytes] = msgpack.packb({"kind": "file"})
"""The form of a part that was a file: bytes without more to say of them."""

INLINE_BYTES_MAX: Final = limits.piece_bytes_max // 2
"""Parts up to this sum go inside the save's own frame, with room for their names."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A part to be saved: its plan, and its bytes in pieces of any size."""

    plan: params.PartPlan
    pieces: Iterable[bytes]


def save(session: Session, wanted: params.Save, parts: Sequence[Sent]) -> results.SavedInfo:
    """Make a checkpoint of these parts, which are drawn one after another. Nothing is saved where one of them raises."""
    held = sum(part.plan.size_bytes + len(part.plan.form) for part in parts)
    if held <= INLINE_BYTES_MAX:
        inside = [
            params.PartData(name=part.plan.name, form=part.plan.form, data=b"".join(part.pieces)) for part in parts
        ]
        return session.call(calls.save(wanted.having(parts=tuple(inside))))
    session.call(calls.ping())  # an upload belongs to a connection, so there must be one
    connection = session.daemon.connection
    upload = session.call(calls.open_upload(tuple(part.plan for part in parts), connection))
    waiting: list[Answered[None]] = []
    for index, part in enumerate(parts):
        offset = 0
        for piece in _fitting(part.pieces):
            waiting.append(session.daemon.submit(calls.write_part(upload, index, offset, piece, connection)))
            offset += len(piece)
            if len(waiting) == PIECES_AHEAD:
                waiting.pop(0).result()
    for answered in waiting:
        answered.result()
    return session.call(calls.save(wanted.having(upload=upload), connection))


def _fitting(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, in pieces that fit a frame."""
    for piece in pieces:
        for begin in range(0, len(piece), limits.piece_bytes_max):
            yield piece[begin : begin + limits.piece_bytes_max]


def put(
    session: Session, *, process: str, files: tuple[str, ...], kind: str, task: str | None, description: str,
    tag: tuple[str, ...], ttl: str | None,
) -> Answer:  # fmt: skip
    """Save files as a checkpoint."""
    paths = [Path(file) for file in files]
    sizes = [_size(path) for path in paths]
    names = [path.name for path in paths]
    for before, name in pairwise(sorted(names)):
        if before == name:
            raise BadRequest(
                f"two of the files are called {name}", hint="parts are named by file name: put them one by one"
            )
    ttl_seconds = moments.seconds(ttl) if ttl else None
    wanted = params.Save(
        request=UNNUMBERED, process_id=process, task_id=task, type=kind, description=description, tags=tag, ttl_seconds=ttl_seconds,
    )  # fmt: skip
    plans = [
        params.PartPlan(name=name, form=FILE_FORM, size_bytes=size) for name, size in zip(names, sizes, strict=True)
    ]
    saved = save(
        session, wanted, [Sent(plan, _read(path, plan.size_bytes)) for plan, path in zip(plans, paths, strict=True)]
    )
    total = sum(sizes)
    return done(
        f"saved {saved.checkpoint_id}: {shown.counted(len(files), 'file')}, {shown.size(total)}",
        checkpoint_id=saved.checkpoint_id,
        seq=saved.seq,
        created_at=documents.time_of(saved.created_at),
        expires_at=documents.time_of(saved.expires_at),
        parts=names,
        size_bytes=total,
    )


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            raise BadRequest(f"{path} is a directory", hint="name files; a directory can be put as an archive of it")
        return path.stat().st_size
    except OSError as error:
        raise BadRequest(f"{path} can't be read: {error.strerror}", hint="name files that you may read") from error


def _read(path: Path, size_bytes: int) -> Iterator[bytes]:
    """A file's bytes, of which there are as many as there were when it was looked at."""
    left = size_bytes
    try:
        with path.open("rb") as file:
            while left and (piece := file.read(min(left, limits.piece_bytes_max))):
                left -= len(piece)
                yield piece
            if left or file.read(1):
                raise Conflict(f"{path} changed while it was read", hint="put it when nobody writes to it")
    except OSError as error:
        raise BadRequest(f"{path} can't be read: {error.strerror}") from error
