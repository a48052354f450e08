"""The program's entry: everything else is imported inside, so that a client without click says what is missing."""

import os
import signal
import sys
from importlib.util import find_spec
from io import TextIOWrapper
from types import FrameType, TracebackType
from typing import NoReturn

NEEDS = ("click", "rich", "typing_extensions")
INSTALL = "pip install 'ckptd[ctl]'"
EXIT_USAGE = 2
EXIT_TERMINATED = 143


def main() -> None:
    """Run `ckptctl`; ends with the exit code of the verb."""
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        sys.stderr.write(f"error: ckptctl needs {', '.join(missing)} [USAGE]\n  {INSTALL}\n")
        sys.exit(EXIT_USAGE)
    sys.excepthook = _report
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale that can't say a bar or a name is no failure
    signal.signal(signal.SIGTERM, _terminated)
    from ckptd.ctl.program import program

    program().main(prog_name="ckptctl")


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(EXIT_TERMINATED)


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What is left is a bug of ours: said in three lines, with the traceback for whoever asks for it."""
    if os.environ.get("CKPTCTL_TRACEBACK"):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(
        f"error: ckptctl failed by a bug of its own: {kind.__name__}: {error} [INTERNAL]\n"
        "  say it again with CKPTCTL_TRACEBACK=1 before it, and report what that prints\n"
        "  more: ckptctl explain INTERNAL\n"
    )


if __name__ == "__main__":
    main()
