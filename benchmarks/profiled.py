"""The daemon with one of its threads under cProfile: `python -m benchmarks.profiled THREAD FILE [the daemon's options]`.

THREAD is `loop` or the name of a thread of the daemon's. The statistics are written when the daemon has been stopped. One
thread at a time, because from Python 3.12 on a process has one profiler.
"""

import cProfile
import sys
import threading
from collections.abc import Sequence

from ckptd.cli import main as serve

LOOP = "loop"
COMMITTER = "committer"


def main(words: Sequence[str]) -> int:
    """The daemon's exit status."""
    thread, file, *options = words
    profile = cProfile.Profile()
    if thread == LOOP:
        status = profile.runcall(serve, options)
    else:
        _watch(profile, thread)
        status = serve(options)
    profile.dump_stats(file)
    return status


def _watch(profile: cProfile.Profile, name: str) -> None:
    run = threading.Thread.run

    def profiled(thread: threading.Thread) -> None:
        if thread.name == name:
            profile.runcall(run, thread)
        else:
            run(thread)

    threading.Thread.run = profiled  # type: ignore[method-assign,assignment]  # before there is any


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
