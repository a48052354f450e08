"""Stands in for `python -m ckptd` where a private daemon is started: takes its arguments, its lock and its socket.

Writes what it got of its starter to `facts` in the store. A file `fails` in the store makes it end as a daemon does
that can't use its configuration.
"""

import argparse
import fcntl
import json
import os
import signal
import sys
from pathlib import Path

from tests.ckptclient.fake_daemon import FakeDaemon

EXIT_RETRY = 75
EXIT_CONFIG = 78


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--private", action="store_true", required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args(sys.argv[3:])
    arguments.store.mkdir(exist_ok=True)
    if (arguments.store / "fails").exists():
        sys.stderr.write("store.limit is not a size\n")
        sys.exit(EXIT_CONFIG)
    lock = os.open(arguments.store / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(EXIT_RETRY)
    links = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
    # The listing had a descriptor of its own.
    descriptors = {link.name: os.readlink(link) for link in links if os.path.lexists(link)}
    facts = {
        "module": sys.argv[1:3],
        "pid": os.getpid(),
        "session": os.getsid(0),
        "group": os.getpgrp(),
        "cwd": os.getcwd(),
        "descriptors": descriptors,
        "set": arguments.set,
        "notify": os.environ.get("NOTIFY_SOCKET"),
    }
    arguments.socket.unlink(missing_ok=True)
    with FakeDaemon(arguments.socket):
        with (arguments.store / "facts").open("a") as file:
            file.write(json.dumps(facts) + "\n")
        signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main()
