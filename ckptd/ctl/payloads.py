"""Verbs that bring parts out: `cat` to stdout, `restore` to files.

A part becomes a file under its own name; what a file's name can't have is written as in an address (`state%2F0`).
Bytes are read piece by piece and verified by the daemon. Not for: bringing parts in (`sending`).
"""

import re
import shlex
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from ckptclient import calls, results
from ckptclient.errors import BadRequest, CkptdError, Conflict, Damaged, NotFound
from ckptclient.payload import Part, decode, decode_value
from ckptclient.wire import limits
from ckptd.ctl import documents, naming, shown
from ckptd.ctl.answer import Answer, Lines, Raw, done
from ckptd.ctl.session import Answered, Session

PIECES_AHEAD = 8
"""Pieces asked for before the first is answered: a frame is a megabyte, and a round trip costs more."""

DECODED_BYTES_MAX = 64 << 20
"""Largest value that is printed: beyond it nobody reads it."""

_NOT_IN_A_NAME = re.compile(r"[/%\x00-\x1f\x7f]")


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


def _index(info: results.CheckpointContent, part: str) -> int:
    names = [one.name for one in info.parts]
    if part in names:
        return names.index(part)
    listed = ", ".join(names) or "none"
    raise NotFound(f"{info.checkpoint_id} has no part {part}", hint=f"its parts: {listed}", details={"what": "part"})


def cat(session: Session, *, id: str, part: str, decode: bool) -> Answer:
    """One part's bytes, or its value."""
    info = naming.checkpoint(session, id)
    index = _index(info, part)
    found = info.parts[index]
    document: documents.Document = {"checkpoint_id": info.checkpoint_id, "part": documents.part(found)}
    if decode or session.common.json:
        document["value"] = documents.jsonable(_value(session, info, index))
        return Answer(document, (Lines(documents.pretty(document["value"])),))
    data = pieces(session, info, index)
    first = next(data, b"")  # here, so that what can't be read at all leaves nothing on stdout
    if session.world.terminal() is not None and not _is_text(first):
        raise BadRequest(
            f"part {part} is {shown.size(found.size_bytes)} that a terminal can't show",
            hint=f"ckptctl cat {shlex.quote(id)} {shlex.quote(part)} --decode, or > FILE",
        )
    return Answer(document, (Raw(chain((first,), data)),))


def _form(part: results.PartInfo) -> documents.Document:
    form = documents.value(part.form)
    return form if isinstance(form, dict) else {}


def _value(session: Session, info: results.CheckpointContent, index: int) -> object:
    """What a part holds; the document of a state draws in the buffers that lie beside it."""
    part = info.parts[index]
    kind = _form(part).get("kind")
    size_bytes = info.size_bytes if kind == "document" else part.size_bytes
    if size_bytes > DECODED_BYTES_MAX:
        raise BadRequest(
            f"{shown.size(size_bytes)} are too much to decode here",
            hint=f"ckptctl restore {info.process_id}@{info.seq} DIR writes them to files",
        )

    def load(name: str) -> Part:
        found = _index(info, name)
        return Part(name, _form(info.parts[found]), b"".join(pieces(session, info, found)))

    if kind == "document":
        return decode({}, loader=load)
    data = load(part.name).data
    return decode_value(data) if kind == "progress" else data


def _is_text(piece: bytes) -> bool:
    """Whether the beginning of a part is text; its last character may be cut off."""
    try:
        getincrementaldecoder("utf-8")().decode(piece)
    except UnicodeDecodeError:
        return False
    return b"\0" not in piece


def restore(session: Session, *, id: str, directory: str, force: bool) -> Answer:
    """Every part of a checkpoint as a file."""
    info = naming.checkpoint(session, id)
    folder = Path(directory)
    names = [file_name(part.name) for part in info.parts]
    _prepare(folder, names, force)
    written: list[str] = []
    damaged: list[dict[str, str]] = []
    for index, name in enumerate(names):
        try:
            _write(folder / name, pieces(session, info, index))
            written.append(name)
        except Damaged as error:
            damaged.append({"part": info.parts[index].name, "message": error.message})
    if damaged:
        raise Damaged(
            f"{len(damaged)} of {len(names)} parts of {info.checkpoint_id} can't be read whole: {damaged[0]['message']}",
            hint=f"the others are in {folder}; ckptctl ls {info.process_id} lists older checkpoints",
            details={"checkpoint_id": info.checkpoint_id, "directory": str(folder), "files": written, "damaged": damaged},
        )  # fmt: skip
    size_bytes = sum(part.size_bytes for part in info.parts)
    files = shown.counted(len(written), "file")
    return done(
        f"restored {info.checkpoint_id} to {folder}: {files}, {shown.size(size_bytes)}",
        checkpoint_id=info.checkpoint_id,
        directory=str(folder),
        files=written,
        size_bytes=size_bytes,
    )


def file_name(part: str) -> str:
    """The file that a part becomes: its name, with what can't stand in one written as %XX."""
    name = _NOT_IN_A_NAME.sub(lambda found: f"%{ord(found[0]):02X}", part)
    return name.replace(".", "%2E") if name in (".", "..") else name


def _prepare(folder: Path, names: Sequence[str], force: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise BadRequest(f"{folder} can't be written to: {error.strerror}", hint="name a directory of yours") from error
    if there.intersection(names) and not force:
        taken = ", ".join(sorted(there.intersection(names)))
        raise Conflict(f"{folder} already has {taken}", hint="name another directory, or add --force to overwrite")


def _write(path: Path, data: Iterator[bytes]) -> None:
    try:
        file = path.open("wb")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with file:
            for piece in data:
                file.write(piece)
    except BaseException as error:
        path.unlink()  # half of a part is none
        if isinstance(error, OSError) and not isinstance(error, CkptdError):  # some of ours are both
            raise _unwritable(path, error) from error
        raise


def _unwritable(path: Path, error: OSError) -> BadRequest:
    return BadRequest(f"{path} can't be written: {error.strerror}", hint="make room, or name another directory")
