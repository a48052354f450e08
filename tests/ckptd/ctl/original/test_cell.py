"""What a cell gives, and what holds when something hostile runs in it: measured with the pickle's guard taken away."""

import pickle  # noqa: TID251  (what is to be read)
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptclient.errors import BadRequest
from ckptclient.payload import Part, decode
from ckptd.ctl.original import cell, locking
from ckptd.ctl.original.locking import CALLS, MACHINES
from tests.ckptd.ctl.original.stores import UNLOCKABLE, original_classes, state

pytestmark = pytest.mark.skipif(bool(UNLOCKABLE), reason=f"no process can be locked in here: {UNLOCKABLE}")


def put(raw: bytes) -> tuple[dict[str, Part], str | None]:
    """The parts that a cell makes of these bytes, or why it makes none."""
    import msgpack

    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.seek(0)
        with cell.opened(file) as read:
            parts = {
                name: Part(name, msgpack.unpackb(form), b"".join(read.pieces(index)))
                for index, (name, form, _) in enumerate(read.parts)
            }
            return parts, read.refused


def test_a_pickle_becomes_a_state() -> None:
    value = {"a": [1, 2.5, None], "x": np.arange(100_000)}
    parts, refused = put(pickle.dumps(value))
    found: Any = decode(parts)
    assert (refused, list(parts)) == (None, ["state", "state/0"])
    assert (found["a"], found["x"].tolist()) == (value["a"], list(range(100_000)))


@pytest.mark.parametrize("final", [False, True])
def test_where_a_process_stood_becomes_its_progress(final: bool) -> None:
    import msgpack

    with original_classes():
        parts, _ = put(pickle.dumps({"state": state(), "final_data": 7} if final else state()))
    found = msgpack.unpackb(bytes(parts["progress"].data))
    assert (found["total"], found["completed"], found["step"]) == (100, 40, "batch 40")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "EOFError"),
        (b"garbage", "pickle"),
        (b"\x1f\x8bgarbage", "end-of-stream"),
        (pickle.dumps([object()]), "object, which is no plain data"),
        (pickle.dumps(range(3))[:-1], ""),
        (b"\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\x0f.", ""),
    ],
)
def test_what_can_not_be_had_is_said(raw: bytes, words: str) -> None:
    parts, refused = put(raw)
    assert parts == {}
    assert words in (refused or "")


# --- what holds ---

ATTEMPTS = {
    "write a file": "open({place!r} + '/written', 'w')",
    "append to a file": "os.open({place!r} + '/there', os.O_WRONLY | os.O_APPEND)",
    "remove a file": "os.unlink({place!r} + '/there')",
    "make a directory": "os.mkdir({place!r} + '/made')",
    "read a file": "open('/etc/passwd')",
    "list a directory": "os.listdir('/')",
    "look at a file": "os.stat('/etc/passwd')",
    "connect by TCP": "socket.create_connection(('127.0.0.1', {port}), 1)",
    "make a local socket": "socket.socket(socket.AF_UNIX)",
    "fork": "os.fork()",
    "run a program": "subprocess.run(['/bin/true'])",
    "exec": "os.execv('/bin/true', ['true'])",
    "begin a thread": "threading.Thread(target=print).start()",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "trace its parent": "ctypes.CDLL(None, use_errno=True).ptrace(16, os.getppid(), 0, 0) and None or (_ for _ in ()).throw(OSError(ctypes.get_errno(), 'ptrace'))",
    "take the lock off": "locking.lock()",
}

PROGRAM = """
import ctypes, encodings.idna, os, socket, subprocess, sys, threading
from ckptd.ctl.original import locking
locking.bound(1 << 34)
locking.lock()
try:
    {attempt}
except (OSError, RuntimeError, locking.Unlockable) as error:
    os.write(1, b"refused " + type(error).__name__.encode())
else:
    os.write(1, b"done")
os._exit(0)
"""


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("name", ATTEMPTS)
def test_who_is_locked_in_can_not(name: str, tmp_path: Path, listening: int) -> None:
    (tmp_path / "there").write_text("mine")
    attempt = ATTEMPTS[name].format(place=str(tmp_path), port=listening)
    free = PROGRAM.replace("locking.lock()\n", "", 1).format(attempt=attempt)
    locked = PROGRAM.format(attempt=attempt)
    ran = subprocess.run([sys.executable, "-c", locked], capture_output=True, check=False, timeout=60)
    assert ran.stdout.startswith(b"refused "), (name, ran)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    # And each attempt is one: without the lock it works.
    if name not in ("trace its parent", "exec", "take the lock off", "fork"):
        ran = subprocess.run([sys.executable, "-c", free], capture_output=True, check=False, timeout=60)
        assert ran.stdout.endswith(b"done"), (name, ran)


def test_who_is_locked_in_can_compute_and_answer() -> None:
    program = PROGRAM.format(attempt="sum(bytearray(50_000_000)); [object() for _ in range(10**6)]")
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60).stdout == b"done"
    )


def test_memory_has_an_end() -> None:
    program = PROGRAM.replace("1 << 34", "1 << 29").format(attempt="bytearray(1 << 30)")
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert "MemoryError" in ran.stderr


def test_a_machine_without_a_list_reads_no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(locking.Unlockable, match="riscv64"):
        locking.lock()


def test_that_it_can_not_be_locked_ends_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    unlocked = b"import os, struct, msgpack; p = msgpack.packb({'unlocked': 'seccomp: no'}); os.write(1, struct.pack('>I', len(p)) + p)"
    _answering(monkeypatch, unlocked)
    with pytest.raises(BadRequest, match="can't lock a process in"):
        put(b"")


ANSWERS = {
    "nothing": b"",
    "a length without an end": b"os.write(1, b'\\xff' * 100)",
    "no map": b"answer([1, 2])",
    "parts that are none": b"answer({'parts': 7})",
    "a negative size": b"answer({'parts': [['a', b'', -1]]})",
    "too many": b"answer({'parts': [['a', b'', 0]] * 5000})",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_not_believed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"def answer(x):\n p = msgpack.packb(x)\n os.write(1, struct.pack('>I', len(p)) + p)\n"
    _answering(monkeypatch, b"import os, struct, msgpack\n" + answer + ANSWERS[name])
    parts, refused = put(b"")
    assert parts == {}
    assert refused


@pytest.mark.parametrize("more", [b"", b"xx"], ids=["too few bytes", "too many"])
def test_bytes_that_are_not_as_announced_end_the_import(more: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = (
        b"import os, struct, msgpack\np = msgpack.packb({'parts': [['a', b'\\x80', 1]]})\nos.write(1, struct.pack('>I', len(p)) + p + %r)"
        % more
    )
    _answering(monkeypatch, answer)
    with pytest.raises(BadRequest):
        put(b"")


def _answering(monkeypatch: pytest.MonkeyPatch, program: bytes) -> None:
    """Let another program run in place of the cell's."""
    begin = subprocess.Popen

    def instead(command: list[str], **more: Any) -> Any:
        return begin([command[0], "-c", program.decode()], **more)

    monkeypatch.setattr(subprocess, "Popen", instead)


def test_the_calls_that_stay_open_nothing() -> None:
    assert not {"open", "openat", "socket", "connect", "clone", "fork", "execve", "kill", "ptrace"} & CALLS.keys()
    assert all(len(set(machine.calls)) == len(CALLS) for machine in MACHINES.values())
