"""The disk that keeps no more than POSIX promises: what a store may look like after a power cut; owns *crash state*.

A file's bytes are durable once fsync or fdatasync of it has ended, as far as they were written before it began; a name
is durable once its directory was synced the same way. Of what is not, a power cut may keep all, nothing, or any part,
in any order: no order is promised between two files, nor between a name and what it names. `KEEPS` has the extremes,
and a random part of both. Real file systems promise more (ext4 writes a name after what it names, most often), which
is why an omission that a real disk forgives for years is seen here.
Not for: memory that is mapped (the index of SQLite's log, which a start makes anew).
"""

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ckptd.ctl.selftest.tracing import Call

NOTHING: Final = "nothing"

KEEPS: Final[Mapping[str, tuple[float, float]]] = {
    NOTHING: (0.0, 0.0),
    "names": (1.0, 0.0),
    "bytes": (0.0, 1.0),
    "some": (0.5, 0.5),
}
"""By name: how likely a name, and a write, that no sync has made durable, is kept all the same."""

_MAPPED: Final = "-shm"

_O_TMPFILE: Final = "O_TMPFILE"


@dataclass(slots=True)
class _Write:
    ended: float
    offset: int
    data: bytes | None
    """None: the file is cut or grown to `offset`."""


@dataclass(slots=True)
class _File:
    disk: bytearray = field(default_factory=bytearray)
    pending: list[_Write] = field(default_factory=list)
    size: int = 0

    def apply(self, to: bytearray, write: _Write) -> None:
        if write.data is None:
            del to[write.offset :]
            to.extend(bytes(write.offset - len(to)))
        else:
            to.extend(bytes(max(0, write.offset - len(to))))
            to[write.offset : write.offset + len(write.data)] = write.data


@dataclass(slots=True)
class _Directory:
    """`pending` has changes of names in order: (when it ended, name, what it names now)."""

    disk: dict[str, "_Node"] = field(default_factory=dict)
    now: dict[str, "_Node"] = field(default_factory=dict)
    pending: list[tuple[float, str, "_Node | None"]] = field(default_factory=list)

    def change(self, ended: float, name: str, node: "_Node | None") -> None:
        if node is None:
            self.now.pop(name, None)
        else:
            self.now[name] = node
        self.pending.append((ended, name, node))


_Node = _File | _Directory


def _settle(names: dict[str, _Node], name: str, node: _Node | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


class Disk:
    """The file system below `root`, fed with calls in the order in which they ended."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._tree = _Directory()
        self._fds: dict[int, tuple[_Node, int]] = {}

    def syncs(self, call: Call) -> bool:
        """Whether a call makes something of ours durable."""
        return call.name in ("fsync", "fdatasync") and call.number(0) in self._fds

    def feed(self, call: Call) -> None:
        """Take a call in."""
        handler = getattr(self, f"_{_SAME.get(call.name, call.name)}", None)
        if handler is not None:
            handler(call)

    def write_state(self, into: Path, keep: str, drawn: random.Random) -> None:
        """Make a directory `into` that is what a power cut now leaves of the root."""
        names, writes = KEEPS[keep]
        _dump(self._tree, into, lambda: drawn.random() < names, lambda: drawn.random() < writes)

    # Names

    def _place(self, path: bytes) -> tuple[_Directory, str] | None:
        """The directory of a path below the root and the last name; None elsewhere."""
        text = os.fsdecode(path)
        if not text.startswith(self._root + "/"):
            return None
        at: _Node = self._tree
        parts = text[len(self._root) + 1 :].rstrip("/").split("/")
        for part in parts[:-1]:
            at = at.now.get(part, _Directory()) if isinstance(at, _Directory) else _Directory()
        return (at, parts[-1]) if isinstance(at, _Directory) else None

    def _openat(self, call: Call) -> None:
        path = call.strings[0] if call.strings else b""
        self._fds.pop(call.result, None)
        if os.fsdecode(path).rstrip("/") == self._root:
            self._fds[call.result] = (self._tree, 0)
            return
        place = self._place(path)
        if place is None:
            return
        directory, name = place
        node = directory.now.get(name)
        if _O_TMPFILE in call.arguments:
            node = _File()
        elif node is None:
            if "O_CREAT" not in call.arguments:
                return
            node = _File()
            directory.change(call.ended, name, node)
        if isinstance(node, _File) and "O_TRUNC" in call.arguments:
            node.pending.append(_Write(call.ended, 0, None))
            node.size = 0
        self._fds[call.result] = (node, 0)

    def _close(self, call: Call) -> None:
        self._fds.pop(call.number(0), None)

    def _mkdir(self, call: Call) -> None:
        place = self._place(call.strings[-1])
        if place is not None:
            place[0].change(call.ended, place[1], _Directory())

    def _unlink(self, call: Call) -> None:
        place = self._place(call.strings[-1])
        if place is not None:
            place[0].change(call.ended, place[1], None)

    def _rename(self, call: Call) -> None:
        source, target = self._place(call.strings[0]), self._place(call.strings[1])
        if source is not None and target is not None:
            node = source[0].now.get(source[1])
            target[0].change(call.ended, target[1], node)
            source[0].change(call.ended, source[1], None)

    # Bytes

    def _file(self, call: Call) -> _File | None:
        node = self._fds.get(call.number(0), (None, 0))[0]
        return node if isinstance(node, _File) else None

    def _pwrite64(self, call: Call) -> None:
        if (file := self._file(call)) is not None:
            self._put(file, call, call.number(-1))

    def _write(self, call: Call) -> None:
        file = self._file(call)
        if file is not None:
            at = self._fds[call.number(0)][1]
            self._put(file, call, at)
            self._fds[call.number(0)] = (file, at + call.result)

    def _put(self, file: _File, call: Call, at: int) -> None:
        data = call.strings[0][: call.result]
        file.pending.append(_Write(call.ended, at, data))
        file.size = max(file.size, at + len(data))

    def _ftruncate(self, call: Call) -> None:
        if (file := self._file(call)) is not None:
            file.size = call.number(1)
            file.pending.append(_Write(call.ended, file.size, None))

    def _fallocate(self, call: Call) -> None:
        file = self._file(call)
        if file is not None and call.number(1) == 0 and call.number(2) + call.number(3) > file.size:
            file.size = call.number(2) + call.number(3)
            file.pending.append(_Write(call.ended, file.size, None))

    # Syncs

    def _fsync(self, call: Call) -> None:
        node = self._fds.get(call.number(0), (None, 0))[0]
        if node is None:
            return
        if isinstance(node, _File):
            for write in node.pending:
                if write.ended <= call.began:
                    node.apply(node.disk, write)
            node.pending = [write for write in node.pending if write.ended > call.began]
            return
        for ended, name, named in node.pending:
            if ended <= call.began:
                _settle(node.disk, name, named)
        node.pending = [one for one in node.pending if one[0] > call.began]


_SAME: Final = {
    "open": "openat", "creat": "openat", "mkdirat": "mkdir", "unlinkat": "unlink", "rmdir": "unlink", "renameat": "rename",
    "renameat2": "rename", "fdatasync": "fsync",
}  # fmt: skip


def _dump(directory: _Directory, into: Path, keeps_name: Callable[[], bool], keeps_write: Callable[[], bool]) -> None:
    into.mkdir(parents=True, exist_ok=True)
    names = dict(directory.disk)
    for _, name, node in directory.pending:
        if keeps_name():
            _settle(names, name, node)
    for name, node in names.items():
        if isinstance(node, _Directory):
            _dump(node, into / name, keeps_name, keeps_write)
        elif not name.endswith(_MAPPED):
            content = bytearray(node.disk)
            for write in node.pending:
                if keeps_write():
                    node.apply(content, write)
            (into / name).write_bytes(content)
