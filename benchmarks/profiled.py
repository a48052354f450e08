"""The daemon with one of its threads under cProfile: `python -m benchmarks.profiled THREAD FILE [the daemon's options]`.

THREAD is `loop` or the name of a thread of the daemon's. The statistics are written when the daemon has been stopped. One
thread at a time, because from Python 3.12 on a process has one profiler.
"""

import asyncio
import cProfile
import sys
import threading
from collections.abc import Coroutine, Sequence
from typing import TypeVar

from ckptd.cli import main as serve

LOOP = "loop"
COMMITTER = "committer"

T = TypeVar("T")


def main(words: Sequence[str]) -> int:
    """The daemon's exit status."""
    thread, file, *options = words
    profile = cProfile.Profile()
    if thread == LOOP:
        _watch_loop(profile)
    else:
        _watch_thread(profile, thread)
    status = serve(options)
    profile.dump_stats(file)
    return status


def _watch_loop(profile: cProfile.Profile) -> None:
    """From when the loop runs: by then everything has been imported."""
    run = asyncio.Runner.run

    def profiled(runner: asyncio.Runner, coroutine: Coroutine[object, object, T]) -> T:
        return profile.runcall(run, runner, coroutine)

    asyncio.Runner.run = profiled  # type: ignore[method-assign,assignment]  # before there is any


def _watch_thread(profile: cProfile.Profile, name: str) -> None:
    run = threading.Thread.run

    def profiled(thread: threading.Thread) -> None:
        if thread.name == name:
            profile.runcall(run, thread)
        else:
            run(thread)

    threading.Thread.run = profiled  # type: ignore[method-assign,assignment]  # before there is any


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
