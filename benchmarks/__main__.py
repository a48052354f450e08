"""`python -m benchmarks`: measure, profile, list the peers, or write the report. `make bench ARGS=...` is the same."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from benchmarks.encoding import depth_lines, encoding_lines
from benchmarks.machine import UNSYNCED, mount_of
from benchmarks.peers import PEERS
from benchmarks.profiling import profile
from benchmarks.report import report
from benchmarks.runner import Line, Plan, header, run
from benchmarks.workloads import WORKLOADS

DOCUMENT = Path(__file__).parent.parent / "docs" / "BENCHMARKS.md"
QUICK_SCALE = 0.1
DATA = Path("/var/tmp")  # on a disk by convention, where /tmp may be memory


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="*",
        default=["all"],
        help=f"{', '.join(WORKLOADS)}, all; encodings; peers; profile; report FILE...",
    )
    parser.add_argument("--peers", metavar="A,B", help=f"of {', '.join(PEERS)}; default: all that this machine has")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured; peers alternate in a round")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of each workload: to see that all runs, not to report"
    )
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help=f"on a real disk; default {DATA}")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also append the result lines to this file")
    parser.add_argument("--into", type=Path, default=DOCUMENT, metavar="FILE", help="the document that report rewrites")
    return parser.parse_args(words)


def _present(names: Sequence[str]) -> list[str]:
    """The peers of `names` that this machine has; the others are named with what brings them."""
    present = []
    for name in names:
        reason = PEERS[name].missing()
        if reason is None:
            present.append(name)
        else:
            _say(f"{name}: not here: {reason}")
    return present


def _shown(line: Line) -> str:
    if "error" in line:
        return f"{line['peer']} {line['workload']}: failed: {line['error'].splitlines()[-1]}"
    hidden = {"kind", "workload", "peer", "round"}
    figures = " ".join(f"{name}={value:g}" for name, value in line.items() if name not in hidden)
    return f"round {line['round']} {line['workload']} {line['peer']}: {figures}"


def _measure(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    names = list(WORKLOADS) if arguments.what == ["all"] else arguments.what
    peers = arguments.peers.split(",") if arguments.peers else list(PEERS)
    unknown = [*(name for name in names if name not in WORKLOADS), *(name for name in peers if name not in PEERS)]
    if unknown:
        _say(f"unknown: {', '.join(unknown)}; workloads are {', '.join(WORKLOADS)}, peers are {', '.join(PEERS)}")
        return 2
    failed = 0
    with _directory(arguments.data) as data:
        for line in run(_plan(arguments, words, names, data, _present(peers))):
            _keep(line, arguments.out)
            if line["kind"] == "result":
                failed += "error" in line
                _say(_shown(line))
    return 1 if failed else 0


def _plan(
    arguments: argparse.Namespace, words: Sequence[str], names: Sequence[str], data: Path, peers: Sequence[str] = ()
) -> Plan:
    scale = QUICK_SCALE if arguments.quick else 1.0
    return Plan(names, peers, arguments.rounds, scale, data, " ".join(["python -m benchmarks", *words]))


def _keep(line: Line, out: Path | None) -> None:
    if out is not None:
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")


@contextmanager
def _directory(data: Path) -> Iterator[Path]:
    if mount_of(data).filesystem in UNSYNCED:
        raise SystemExit(f"{data} is in memory, where an fsync costs nothing: name a directory on a disk with --data")
    with tempfile.TemporaryDirectory(prefix="ckptd-bench-", dir=data) as directory:
        path = Path(directory)
        path.chmod(0o711)  # a server that runs as its own user reaches its directory through this one
        yield path


def main(words: Sequence[str]) -> int:
    """The exit code: 0, 1 where a peer failed a workload, 2 where the command line is wrong."""
    arguments = _arguments(words)
    # Whatever a developer has set: who has installed a program doesn't compile it at each start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    match arguments.what:
        case ["peers"]:
            for name, peer in PEERS.items():
                _say(f"{name}: {peer.missing() or peer.version()}: {peer.terms}")
            return 0
        case ["encodings"]:
            with _directory(arguments.data) as data:
                _keep(header(_plan(arguments, words, [], data)), arguments.out)
                for found in chain(encoding_lines(data), depth_lines()):
                    _keep(found, arguments.out)
                    _say(
                        " ".join(
                            f"{name}={one:g}" if isinstance(one, int | float) else one for name, one in found.items()
                        )
                    )
            return 0
        case ["profile"]:
            with _directory(arguments.data) as data:
                for line in profile(data, QUICK_SCALE if arguments.quick else 1.0):
                    _say(line)
            return 0
        case ["report", *files] if files:
            report([Path(file) for file in files], arguments.into)
            return 0
        case _:
            return _measure(arguments, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
