"""The cell: one file of the original's store on stdin, its parts on stdout, and between the two no right to do anything.

Both ends of that pipe are here. The cell reads and decompresses, loads NumPy where the bytes mention it, locks itself in,
and only then looks at the pickle. Whoever asked believes nothing of the answer: lengths are bounded, and what comes is
bytes of parts, which nobody executes. An answer is 4 bytes with a length, a MessagePack map of that length, and the bytes
of the parts that the map lists, end to end.
"""

import gzip
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Final

import msgpack

from ckptclient.errors import BadRequest, Encoding
from ckptclient.payload import Part, encode, encode_value
from ckptclient.wire import limits
from ckptd.ctl.original import locking, plain

SECONDS_MAX: Final = 900
"""After which a cell that doesn't answer is ended: it may wait for ever without using its time."""

_LENGTH: Final = struct.Struct(">I")
_ANSWER_BYTES_MAX: Final = 32 << 20
_GZIP: Final = b"\x1f\x8b"
_PIECE_BYTES: Final = 1 << 20

_STATE_KEYS: Final = ("process_id", "task_id", "current_step", "total_steps", "completed_steps")

_STRANGE: Final = (
    ArithmeticError, AttributeError, EOFError, ImportError, LookupError, MemoryError, OSError, RuntimeError, TypeError,
    ValueError, struct.error, zlib.error,
)  # fmt: skip
"""What the constructors and decoders raise at strange data."""

DOCUMENT_BYTES_MAX: Final = 1 << 30
"""The original had no limit on what it pickled."""


# --- inside ---


def main() -> None:
    """What runs in the cell."""
    try:
        _run()
    except locking.Unlockable as error:
        _answer({"unlocked": str(error)})
    except Encoding as error:
        _answer({"refused": error.message})
    except _STRANGE as error:
        _answer({"refused": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(0)  # the interpreter's own end would want to do more than it may


def _run() -> None:
    locking.bound(_memory_bytes())
    data = _read(sys.stdin.buffer)
    if b"numpy" in data:
        # Afterwards no file can be opened.
        import ckptclient.payload.arrays  # noqa: F401
    locking.lock()
    state = plain.load(data)
    parts = encode(state, bytes_max=DOCUMENT_BYTES_MAX)
    progress = _progress(state)
    if progress is not None:
        parts.append(Part("progress", {"kind": "progress"}, progress))
    _answer({"parts": [[one.name, msgpack.packb(dict(one.form)), len(one.data)] for one in parts]})
    for one in parts:
        _write(memoryview(one.data))


def _read(source: BinaryIO) -> bytes:
    if source.peek(2)[:2] == _GZIP:  # type: ignore[attr-defined]
        with gzip.open(source) as unpacked:
            return unpacked.read()
    return source.read()


def _memory_bytes() -> int:
    """Half of what the machine has: a state that is worth keeping fits, and a bomb harms nobody else."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _progress(state: object) -> bytes | None:
    """Where the process stood, if that is what was saved, as the part that ckptd keeps of it."""
    found = state.get("state", state) if isinstance(state, dict) else None
    if not isinstance(found, dict) or any(key not in found for key in _STATE_KEYS):
        return None
    at = found.get("last_update")
    packed: bytes = msgpack.packb(
        {
            "total": int(found["total_steps"]) or None,
            "completed": int(found["completed_steps"]),
            "step": str(found["current_step"]),
            "batch": None if found.get("current_batch") is None else str(found["current_batch"]),
            "metadata": encode_value(found.get("metadata") or {}),
            "done": 0,
            "failed": 0,
            "updated_at": micros(at.isoformat()) if at is not None and hasattr(at, "isoformat") else 0,
        }
    )
    return packed


def micros(text: str) -> int:
    """Microseconds since 1970 of a time in ISO 8601; the original's have no zone and mean UTC."""
    from datetime import UTC, datetime

    when = datetime.fromisoformat(text)
    when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return round(when.timestamp() * 1e6)


def _answer(said: Mapping[str, object]) -> None:
    packed = msgpack.packb(said)
    _write(memoryview(_LENGTH.pack(len(packed)) + packed))


def _write(data: memoryview) -> None:
    rest = data.cast("B") if data.nbytes else data
    while rest:
        rest = rest[os.write(1, rest[:_PIECE_BYTES]) :]


# --- outside ---


@dataclass(frozen=True, slots=True)
class Answered:
    """What a cell made of a file: parts (name, form, size), whose bytes come by `pieces`; or why it made none."""

    parts: tuple[tuple[str, bytes, int], ...]
    refused: str | None
    _out: IO[bytes]

    def pieces(self, index: int) -> Iterator[bytes]:
        """The bytes of a part; parts are read in their order, each to its end. USAGE where they don't come."""
        left = self.parts[index][2]
        while left:
            piece = self._out.read(min(left, _PIECE_BYTES))
            if not piece:
                raise BadRequest("it could not be read to its end: it took too much memory or time")
            left -= len(piece)
            yield piece
        if index == len(self.parts) - 1 and self._out.read(1):
            raise BadRequest("more came of it than was announced")


@contextmanager
def opened(file: BinaryIO) -> Iterator[Answered]:
    """Put an open file of the original's store into a cell. The cell ends with the block, whatever it does.

    Raises USAGE where this machine can't lock one in.
    """
    environ = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")}
    command = [sys.executable, "-P", "-c", "from ckptd.ctl.original.cell import main; main()"]
    with subprocess.Popen(
        command,
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={**environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        patience = threading.Timer(SECONDS_MAX, process.kill)
        patience.start()
        try:
            yield _read_answer(process.stdout)
        finally:
            patience.cancel()
            process.kill()


def _read_answer(out: IO[bytes]) -> Answered:
    raw = out.read(_LENGTH.size)
    length = _LENGTH.unpack(raw)[0] if len(raw) == _LENGTH.size else 0
    if not 0 < length <= _ANSWER_BYTES_MAX:
        return Answered((), "reading it ended in nothing: it took too much memory or time", out)
    try:
        said: Any = msgpack.unpackb(out.read(length))
        if "unlocked" in said:
            raise BadRequest(
                f"this machine can't lock a process in, and without that no pickle is read: {said['unlocked']}",
                hint="import on another machine, and bring the checkpoints here with export and import",
            )
        if "refused" in said:
            return Answered((), str(said["refused"])[:500], out)
        parts = tuple((str(name), bytes(form), int(size)) for name, form, size in said["parts"])
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        if isinstance(error, BadRequest):
            raise
        return Answered((), "the answer of its cell can't be read", out)
    if len(parts) > limits.parts_count_max or any(size < 0 for _, _, size in parts):
        return Answered((), "the answer of its cell can't be read", out)
    return Answered(parts, None, out)
