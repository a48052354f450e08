"""The program's entry: everything else is imported inside, so that a client without click says what is missing."""

import os
import sys
from importlib.util import find_spec
from types import TracebackType

NEEDS = ("click", "rich", "typing_extensions")
INSTALL = "pip install 'ckptd[ctl]'"
EXIT_USAGE = 2
EXIT_BUG = 1


def main() -> None:
    """Run `ckptctl`; ends with the exit code of the verb."""
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        sys.stderr.write(f"error: ckptctl needs {', '.join(missing)} [USAGE]\n  {INSTALL}\n")
        sys.exit(EXIT_USAGE)
    sys.excepthook = _report
    from ckptd.ctl.program import program

    program().main(prog_name="ckptctl")


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
