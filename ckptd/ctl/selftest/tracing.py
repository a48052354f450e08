"""What a program asked of the kernel about its files, in order, from a log of strace.

Each call has the moments at which it began and ended: a sync makes durable what had ended when it began, and nothing
that came meanwhile. Calls of several threads overlap in the log, so that they are put in order here.
Not for: what calls mean for a disk (`weakest`).
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CALLS: Final = (
    "open", "openat", "creat", "close", "mkdir", "mkdirat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "fsync", "fdatasync",
    "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "ftruncate", "fallocate", "linkat", "dup", "fcntl",
)  # fmt: skip

_BYTES_MAX: Final = 64 << 20
"""Of one call's data that is logged: more than anybody writes at once."""

_LINE: Final = re.compile(r"(\d+) +(\d+\.\d+) (.*)", re.DOTALL)
_CALL: Final = re.compile(r"(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+)(?: .*)?<(\d+\.\d+)>\s*$", re.DOTALL)
_RESUMED: Final = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One call that worked: its arguments as strace has them, the strings among them decoded; times in seconds UTC."""

    name: str
    arguments: str
    strings: Sequence[bytes]
    result: int
    began: float
    ended: float

    def number(self, index: int) -> int:
        """A number among the arguments, counted from the end where negative; only where no string stands before it."""
        return int(self.arguments.split(",")[index], 0)


def command(log: Path) -> list[str]:
    """The beginning of a command that is traced to `log`."""
    return [
        "strace", "-f", "-qqq", "-e", "signal=none", "-xx", "-s", str(_BYTES_MAX), "-ttt", "-T", "-o", str(log),
        "-e", f"trace={','.join('?' + name for name in CALLS)}",
    ]  # fmt: skip


def missing() -> str | None:
    """Why nothing can be traced here, None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-qqq", "-o", "/dev/null", "true"], check=False, capture_output=True, text=True)
    return f"strace may not trace: {done.stderr.strip()}" if done.returncode else None


def calls(log: Iterable[str]) -> list[Call]:
    """The calls that worked, in the order in which they ended."""
    found = sorted(_calls(log), key=lambda call: call.ended)
    return found


def _calls(log: Iterable[str]) -> Iterator[Call]:
    begun: dict[str, tuple[float, str]] = {}
    for line in log:
        parts = _LINE.match(line)
        if parts is None:
            continue
        thread, at, text = parts[1], float(parts[2]), parts[3].rstrip("\n")
        if text.endswith("<unfinished ...>"):
            begun[thread] = (at, text.removesuffix("<unfinished ...>"))
            continue
        resumed = _RESUMED.match(text)
        if resumed is not None:
            if thread not in begun:
                continue
            at, first = begun.pop(thread)
            text = first + resumed[2]
        call = _CALL.match(text)
        if call is not None and not call[3].startswith("-"):
            strings = [bytes.fromhex(one.replace("\\x", "")) for one in _TEXT.findall(call[2])]
            rest = _TEXT.sub('""', call[2])
            yield Call(call[1], rest, strings, int(call[3], 0), at, at + float(call[4]))
