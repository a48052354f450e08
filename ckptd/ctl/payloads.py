"""Bytes of parts from the daemon, and the verb `cat` that gives them to stdout; owns the term *format* in the tool.

Bytes are read piece by piece and verified by the daemon. Not for: files (`restoring`), or bringing parts in (`sending`).
"""

import shlex
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from itertools import chain
from tempfile import TemporaryFile
from typing import NoReturn

from ckptclient import calls, results
from ckptclient.errors import BadRequest
from ckptclient.payload import DOCUMENT
from ckptclient.wire import limits
from ckptd.ctl import documents, naming, shown, values
from ckptd.ctl.answer import Answer, Lines, Raw
from ckptd.ctl.arrays import write_npz
from ckptd.ctl.session import Answered, Session

PIECES_AHEAD = 8
"""Pieces asked for before the first is answered: a frame is a megabyte, and a round trip costs more."""

DECODED_BYTES_MAX = 64 << 20
"""Largest value that is printed: beyond it nobody reads it."""

FORMATS: Sequence[str] = ("raw", "json", "npz")
"""How parts can be given: byte for byte; as JSON, with arrays and bytes in words; as NumPy's `.npz`."""


def pieces(session: Session, info: results.CheckpointContent, index: int) -> Iterator[bytes]:
    """The plain bytes of one part; raises DAMAGED where they don't verify."""
    name, size_bytes = naming.numbered(session, info), info.parts[index].size_bytes
    offsets = range(0, size_bytes, limits.piece_bytes_max)
    waiting: list[Answered[bytes]] = []
    for offset in offsets:
        waiting.append(session.daemon.submit(calls.read_part(name, index, offset, limits.piece_bytes_max)))
        if len(waiting) == PIECES_AHEAD:
            yield waiting.pop(0).result()
    for answered in waiting:
        yield answered.result()


def cat(session: Session, *, id: str, part: str | None, as_: str) -> Answer:
    """One part, or the whole, in a format."""
    info = naming.checkpoint(session, id)
    indexes = values.own(info) if part is None else [values.index_of(info, part)]
    if session.common.json or as_ == "json":
        return _as_json(session, info, indexes, whole=part is None)
    if len(indexes) != 1:
        name = DOCUMENT if as_ == "npz" else None
        indexes = [index for index in indexes if info.parts[index].name == name] or _no_single(info)
    return _as_bytes(session, id, info, indexes[0], as_)


def _no_single(info: results.CheckpointContent) -> NoReturn:
    names = ", ".join(one.name for one in info.parts) or "none"
    raise BadRequest(
        f"{info.checkpoint_id} has {shown.counted(len(info.parts), 'part')}, and only one can be given",
        hint=f"say which: {names}; or --format json for all",
    )


def _as_json(session: Session, info: results.CheckpointContent, indexes: Sequence[int], *, whole: bool) -> Answer:
    values.bounded(info, indexes, DECODED_BYTES_MAX)
    found = {info.parts[index].name: documents.jsonable(value(session, info, index)) for index in indexes}
    shows = found if whole else found[info.parts[indexes[0]].name]
    part = None if whole else documents.part(info.parts[indexes[0]])
    return Answer(
        {"checkpoint_id": info.checkpoint_id, "part": part, "value": shows}, (Lines(documents.pretty(shows)),)
    )


def _as_bytes(session: Session, id: str, info: results.CheckpointContent, index: int, as_: str) -> Answer:
    part = info.parts[index]
    data = pieces(session, info, index) if as_ == "raw" else npz(session, info, index)
    first = next(data, b"")  # here, so that what can't be read at all leaves nothing on stdout
    if session.world.terminal() is not None and not _is_text(first):
        raise BadRequest(
            f"part {part.name} is {shown.size(part.size_bytes)} that a terminal can't show",
            hint=f"ckptctl cat {shlex.quote(id)} {shlex.quote(part.name)} --format json, or > FILE",
        )
    return Answer({}, (Raw(chain((first,), data)),))


def npz(session: Session, info: results.CheckpointContent, index: int) -> Iterator[bytes]:
    """A part's value as an `.npz`, in pieces; it is written before the first is given."""
    with TemporaryFile() as file:
        write_npz(value(session, info, index), file)
        file.seek(0)
        while piece := file.read(limits.piece_bytes_max):
            yield piece


def value(session: Session, info: results.CheckpointContent, index: int) -> object:
    """What a part holds."""
    return values.value(info, index, lambda of, part: pieces(session, of, part))


def _is_text(piece: bytes) -> bool:
    """Whether the beginning of a part is text; its last character may be cut off."""
    try:
        getincrementaldecoder("utf-8")().decode(piece)
    except UnicodeDecodeError:
        return False
    return b"\0" not in piece
