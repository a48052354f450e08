"""The verb `restore`: a checkpoint as files, each whole or not there.

A part becomes a file under its own name; what a file's name can't have is written as in an address (`state%2F0`). In a
format that is for values, a value becomes `NAME.json` or `NAME.npz`, and what was a file stays one.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ckptclient import results
from ckptclient.errors import BadRequest, CkptdError, Conflict, Damaged
from ckptd.ctl import documents, naming, payloads, shown, values
from ckptd.ctl.answer import Answer, done
from ckptd.ctl.session import Session

_NOT_IN_A_NAME = re.compile(r"[/%\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class _Planned:
    """A file to be written: its name, which part it is of, and what gives its bytes."""

    name: str
    part: str
    data: Iterator[bytes]


def restore(session: Session, *, id: str, directory: str, force: bool, as_: str) -> Answer:
    """A checkpoint as files: each part, or each value in a format."""
    info = naming.checkpoint(session, id)
    folder = Path(directory)
    planned = _PLANS[as_](session, info)
    _prepare(folder, [one.name for one in planned], force)
    written: list[str] = []
    damaged: list[dict[str, str]] = []
    for one in planned:
        try:
            _write(folder / one.name, one.data)
            written.append(one.name)
        except Damaged as error:
            damaged.append({"part": one.part, "message": error.message})
    if damaged:
        raise Damaged(
            f"{len(damaged)} of {len(planned)} parts of {info.checkpoint_id} can't be read whole: {damaged[0]['message']}",
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


def _raw_files(session: Session, info: results.CheckpointContent) -> list[_Planned]:
    return [
        _Planned(file_name(part.name), part.name, payloads.pieces(session, info, index))
        for index, part in enumerate(info.parts)
    ]


def _json_files(session: Session, info: results.CheckpointContent) -> list[_Planned]:
    """`state.json` for a value; what was a file stays one."""
    indexes = values.own(info)
    values.bounded(
        info, [index for index in indexes if not values.is_file(info.parts[index])], payloads.DECODED_BYTES_MAX
    )
    return [_planned(session, info, index, "json", _json) for index in indexes]


def _npz_files(session: Session, info: results.CheckpointContent) -> list[_Planned]:
    """`state.npz` for a value; progress, which has no array, as JSON."""
    return [
        _planned(
            session, info, index, *(("npz", payloads.npz) if _kind(info, index) != "progress" else ("json", _json))
        )
        for index in values.own(info)
    ]


def _kind(info: results.CheckpointContent, index: int) -> object:
    return values.form(info.parts[index]).get("kind")


def _planned(session: Session, info: results.CheckpointContent, index: int, suffix: str, data: "_Data") -> _Planned:
    part = info.parts[index]
    if values.is_file(part):
        return _Planned(file_name(part.name), part.name, payloads.pieces(session, info, index))
    return _Planned(f"{file_name(part.name)}.{suffix}", part.name, data(session, info, index))


def _json(session: Session, info: results.CheckpointContent, index: int) -> Iterator[bytes]:
    yield f"{documents.pretty(documents.jsonable(payloads.value(session, info, index)))}\n".encode()


_Data = Callable[[Session, results.CheckpointContent, int], Iterator[bytes]]

_PLANS: Mapping[str, Callable[[Session, results.CheckpointContent], list[_Planned]]] = {
    "raw": _raw_files,
    "json": _json_files,
    "npz": _npz_files,
}
assert tuple(_PLANS) == payloads.FORMATS


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
