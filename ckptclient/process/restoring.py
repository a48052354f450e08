"""From a checkpoint's parts back to the application's state.

Small parts came with the answer. Large ones were lent: they lie in memory that is mapped here, privately, so that arrays
view it and may be written to. Otherwise they are read in pieces when they are needed.
Not for: choosing the checkpoint; the daemon does.
"""

import mmap
import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any, cast

import msgpack

from ckptclient import calls
from ckptclient.errors import BadRequest, Encoding, NotFound
from ckptclient.payload import DOCUMENT, Part, decode
from ckptclient.results import CheckpointInfo, PartInfo
from ckptclient.wire import layout, limits

from .daemon import Daemon

PROGRESS = "progress"
"""The part that the daemon adds: where the process stood."""


class Content(Mapping[str, object]):
    """A checkpoint's parts by name: the value of each, read and decoded when it is looked at."""

    def __init__(
        self,
        daemon: Daemon,
        checkpoint: CheckpointInfo,
        parts: Sequence[PartInfo],
        descriptors: Sequence[int] | None = None,
        *,
        allow_pickle: bool = False,
    ) -> None:
        self.schema_version = checkpoint.schema_version
        self._daemon = daemon
        self._checkpoint_id = checkpoint.checkpoint_id
        self._infos = {part.name: (index, part) for index, part in enumerate(parts)}
        self._allow_pickle = allow_pickle
        self._read: dict[str, Part] = {}
        self._lent = _lent(parts, descriptors[0]) if descriptors else {}

    def part(self, name: str) -> Part:
        """One part with its bytes; raises `NotFound`, DAMAGED."""
        found = self._read.get(name)
        if found is None:
            if name not in self._infos:
                raise NotFound(f"{self._checkpoint_id} has no part {name!r}", details={"what": "part"})
            index, info = self._infos[name]
            found = self._read[name] = Part(name, _form(info.form), self._data(index, info))
        return found

    def state(self) -> object:
        """The application's state; raises `Encoding`, `NotFound` where the checkpoint has progress alone."""
        return decode({}, allow_pickle=self._allow_pickle, loader=self.part)

    @property
    def has_document(self) -> bool:
        """Whether there is data that `state` would give."""
        return DOCUMENT in self._infos

    def progress(self) -> Mapping[str, object] | None:
        """Where the process stood: the daemon's map; None in a checkpoint that no process made."""
        if PROGRESS not in self._infos:
            return None
        value = msgpack.unpackb(self.part(PROGRESS).data)
        return value if isinstance(value, dict) else None

    def __getitem__(self, name: str) -> object:
        if name == PROGRESS or name not in self._infos:
            raise KeyError(name)
        if name == DOCUMENT:
            return self.state()
        part = self.part(name)
        return decode({DOCUMENT: _alone(part)}, loader=self._as_first) if _is_buffer(name) else part.data

    def _as_first(self, name: str) -> Part:
        return self.part(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._infos if name != PROGRESS)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _data(self, index: int, info: PartInfo) -> bytes | memoryview:
        if info.data is not None:
            return info.data
        if index in self._lent:
            return self._lent[index]
        memory = bytearray(info.size_bytes)
        for offset in range(0, info.size_bytes, limits.piece_bytes_max):
            length = min(limits.piece_bytes_max, info.size_bytes - offset)
            piece = self._daemon.call(calls.read_part(self._checkpoint_id, index, offset, length))
            memory[offset : offset + length] = piece
        return memoryview(memory)


def _lent(parts: Sequence[PartInfo], descriptor: int) -> dict[int, memoryview]:
    """The bytes of each part that was lent; the descriptor is closed. What is written to them stays this process's."""
    apart = [index for index, part in enumerate(parts) if part.data is None]
    begins, _ = layout.begins(parts[index].size_bytes for index in apart)
    try:
        memory = memoryview(
            mmap.mmap(descriptor, 0, mmap.MAP_PRIVATE | mmap.MAP_POPULATE, mmap.PROT_READ | mmap.PROT_WRITE)
        )
    finally:
        os.close(descriptor)
    return {index: memory[at : at + parts[index].size_bytes] for index, at in zip(apart, begins, strict=True)}


def _form(packed: bytes) -> Mapping[str, object]:
    try:
        form = msgpack.unpackb(packed)
    except ValueError as error:
        raise Encoding(f"the form of a part can't be read: {error}") from error
    if not isinstance(form, dict):
        raise Encoding("the form of a part is no map")
    return form


def _is_buffer(name: str) -> bool:
    return name.startswith(f"{DOCUMENT}/") and name.removeprefix(f"{DOCUMENT}/").isdecimal()


def _alone(part: Part) -> Part:
    """A document that is this buffer and nothing else: `docs/PAYLOAD.md`, a reference."""
    index = int(part.name.removeprefix(f"{DOCUMENT}/"))
    document = msgpack.packb([msgpack.ExtType(1, b"\x01"), index])
    return Part(DOCUMENT, {"kind": "document", "encoding": "msgpack"}, document)


# --- a state that is put back ---


def fill(target: Any, source: Any, where: str = "into") -> None:
    """Put a state's values into containers and arrays that are there; raises `BadRequest` where they don't match."""
    if isinstance(target, MutableMapping) and isinstance(source, Mapping):
        for key, value in source.items():
            _fill_one(target, key, value, f"{where}[{key!r}]", key in target)
    elif isinstance(target, MutableSequence) and not isinstance(target, (bytearray, memoryview)):
        if len(target) != len(source):
            raise BadRequest(f"{where} has {len(target)} elements and the state {len(source)}", hint="make it as long")
        for index, value in enumerate(source):
            _fill_one(target, index, value, f"{where}[{index}]", True)
    elif isinstance(target, (bytearray, memoryview)):
        memoryview(target).cast("B")[:] = memoryview(source).cast("B")
    elif hasattr(target, "shape"):
        if tuple(target.shape) != tuple(getattr(source, "shape", ())):
            raise BadRequest(f"{where} has shape {tuple(target.shape)} and the state another", hint="make it alike")
        target[...] = source
    else:
        raise BadRequest(f"{where} is a {type(target).__name__}", hint="accepted: dicts, lists, arrays and buffers")


def _fill_one(target: Any, key: object, value: object, where: str, present: bool) -> None:
    inner = target[key] if present else None
    if isinstance(inner, (MutableMapping, MutableSequence, bytearray, memoryview)) or hasattr(inner, "shape"):
        fill(inner, value, where)
    else:
        target[key] = value


class StateOf:
    """The application's state as `track(state=...)` takes it: how it is got, and how it is put back.

    A mutable mapping is emptied and filled; an object has `state_dict()` and `load_state_dict()`; a pair is (get, set).
    """

    def __init__(self, given: object) -> None:
        self.get, self.set = _accessors(given)


def _accessors(given: object) -> tuple[Callable[[], object], Callable[[Any], object]]:
    if isinstance(given, MutableMapping):
        return lambda: dict(given), lambda state: _replace(given, state)
    if callable(getattr(given, "state_dict", None)) and callable(getattr(given, "load_state_dict", None)):
        return cast("Any", given).state_dict, cast("Any", given).load_state_dict
    if isinstance(given, tuple) and len(given) == 2 and all(callable(one) for one in given):
        return given
    raise BadRequest(
        f"state= is a {type(given).__name__}",
        hint="accepted: a mutable mapping, an object with state_dict and load_state_dict, or a pair (get, set)",
    )


def _replace(target: MutableMapping[Any, Any], state: Any) -> None:
    if not isinstance(state, Mapping):
        raise BadRequest(
            f"the state that was saved is a {type(state).__name__}, and state= a mapping",
            hint="pass a pair (get, set), or restore(upgrade=...) by hand",
        )
    target.clear()
    target.update(state)
