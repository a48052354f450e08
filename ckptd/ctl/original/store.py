"""Records of the original's store: `checkpoints.db`, a row a checkpoint, and for each a file under `data/`.

Read without a trace: the database is copied, with its journal, and the copy is opened. A row's path is not believed: stores
move, and a row may name any file. What counts is the file of that name in the store's own directory.
"""

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

from ckptclient.errors import BadRequest, Damaged, NoStore
from ckptd.ctl.original.cell import micros

DATABASE: Final = "checkpoints.db"
_BESIDE: Final = ("", "-journal", "-wal")
_COLUMNS: Final = (
    "checkpoint_id,checkpoint_type,process_id,task_id,created_at,version,description,tags,dependencies,encryption,"
    "ttl_hours,status,file_path,checksum"
)


@dataclass(frozen=True, slots=True)
class Record:
    """A checkpoint of the original. `created_at` is microseconds since 1970; `wrong` says why its row can't be used."""

    checkpoint_id: str
    type: str = ""
    process_id: str = ""
    task_id: str = ""
    created_at: int = 0
    version: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    ttl_hours: float = 0.0
    status: str = ""
    file_name: str = ""
    checksum: str = ""
    wrong: str | None = None


def records(directory: Path) -> list[Record]:
    """All of them, oldest first. NO_STORE where there is no such store, DAMAGED where its database can't be read."""
    if not (directory / DATABASE).is_file():
        raise NoStore(f"{directory} has no {DATABASE}", hint="name the directory that was the original's storage_path")
    with TemporaryDirectory(prefix="ckptctl-") as scratch:
        try:
            for suffix in _BESIDE:
                if (source := directory / f"{DATABASE}{suffix}").exists():
                    shutil.copyfile(source, Path(scratch, source.name))
        except OSError as error:
            raise BadRequest(
                f"{directory} can't be read: {error.strerror}", hint="run it as who may read it"
            ) from error
        try:
            connection = sqlite3.connect(Path(scratch, DATABASE))
            try:
                rows = connection.execute(f"SELECT {_COLUMNS} FROM checkpoints ORDER BY created_at,rowid").fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise Damaged(
                f"{directory / DATABASE} can't be read: {error}", hint="it is not what the original wrote"
            ) from error
    return [_record(row) for row in rows]


def _record(row: tuple[object, ...]) -> Record:
    (name, kind, process, task, at, version, description, tags, depends, encrypted, hours, status, path, checksum) = row
    try:
        if encrypted:
            return Record(str(name), wrong="it is encrypted")
        return Record(
            checkpoint_id=str(name),
            type=str(kind),
            process_id=str(process),
            task_id=str(task),
            created_at=micros(str(at)),
            version=str(version or ""),
            description=str(description or ""),
            tags=_texts(tags),
            depends=_texts(depends),
            ttl_hours=float(str(hours or 0)),
            status=str(status),
            file_name=Path(str(path)).name if path else "",
            checksum=str(checksum or ""),
        )
    except (ValueError, TypeError, OverflowError) as error:
        return Record(str(name), wrong=f"its row can't be read: {error}")


def _texts(packed: object) -> tuple[str, ...]:
    found = json.loads(str(packed)) if packed else []
    if not isinstance(found, list):
        raise ValueError("a list is none")
    return tuple(str(one) for one in found)


@contextmanager
def opened(directory: Path, record: Record) -> Iterator[BinaryIO]:
    """The record's file, compared with its checksum. NOT_FOUND-like USAGE where it is gone, DAMAGED where it differs."""
    path = directory / "data" / record.file_name
    try:
        # Neither a link, which may lead anywhere, nor a pipe, which has no end.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BadRequest(f"its file {path} can't be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BadRequest(f"its file {path} can't be read: it is none")
    with open(fd, "rb") as file:
        if file_digest(file, "sha256").hexdigest() != record.checksum:
            raise Damaged(f"its file {path} isn't what was saved: the checksum differs")
        os.lseek(fd, 0, os.SEEK_SET)
        yield file
