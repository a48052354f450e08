"""A run: rounds over workloads over peers, each in its own process, each result one JSON line.

Peers alternate inside a round and the order turns with every round, so that a machine that slows down for a while
slows all of them: compare only within a round.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.peers import KEEPERS, PEERS
from benchmarks.peers.interface import SUBJECT
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.interface import Workload

LIMIT_SECONDS = 900.0

Line = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and the command line that asked for it."""

    workloads: Sequence[str]
    peers: Sequence[str]
    rounds: int
    scale: float
    data: Path
    command: str

    def steps(self) -> Iterator[tuple[int, Workload, str]]:
        """`(round, workload, peer)` in order."""
        for number in range(self.rounds):
            for name in self.workloads:
                workload = WORKLOADS[name]
                peers = [peer for peer in self.peers if _takes_part(peer, workload)]
                turn = number % len(peers) if peers else 0
                for peer in peers[turn:] + peers[:turn]:
                    yield number, workload, peer


def _takes_part(peer: str, workload: Workload) -> bool:
    return peer == SUBJECT or not (workload.subject_only or (peer in KEEPERS and not workload.keepers))


def header(plan: Plan) -> Line:
    """The first line of a run: what makes its figures comparable with themselves alone."""
    return {
        "kind": "run",
        "command": plan.command,
        "scale": plan.scale,
        "machine": describe(plan.data),
        "versions": {name: PEERS[name].version() for name in plan.peers},
    }


def run(plan: Plan) -> Iterator[Line]:
    """Measure step by step. A peer that fails a step gives a line with `error`, and the run goes on."""
    yield header(plan)
    for number, workload, peer in plan.steps():
        begin = time.monotonic()
        outcome = _isolated(workload.name, peer, plan)
        took = round(time.monotonic() - begin, 1)
        yield {"kind": "result", "workload": workload.name, "peer": peer, "round": number, "took_s": took, **outcome}


def _isolated(workload: str, peer: str, plan: Plan) -> Line:
    command = [sys.executable, "-m", "benchmarks.isolated", workload, peer, str(plan.data), str(plan.scale)]
    # A session of its own: whatever the step leaves behind, servers too, can be ended with it.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {LIMIT_SECONDS:.0f} s"}
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        return {"error": errors.strip()[-1200:]}
    figures: Line = json.loads(output.splitlines()[-1])
    return figures
