"""Right code, in small: what lint, types and tests must let pass, so that a refusal means the planted fault."""

from collections.abc import Mapping
from pathlib import Path

from tests.contracts.skeleton import ROOT

FILES: Mapping[str, str] = {
    "ckptclient/__init__.py": '"""The client."""\n',
    "ckptd/__init__.py": '"""The daemon."""\n',
    "ckptd/core/__init__.py": '"""Pure decisions."""\n',
    "ckptd/core/lease.py": '''"""Who may advance a process; owns the terms lease and epoch."""

from dataclasses import dataclass
from enum import Enum
from typing import NewType, assert_never

Epoch = NewType("Epoch", int)


class Verdict(Enum):
    """What a write may do."""

    GRANTED = "granted"
    FENCED = "fenced"


@dataclass(frozen=True, slots=True)
class Lease:
    """The exclusive right to advance one process."""

    epoch: Epoch


def check(lease: Lease, epoch: Epoch) -> Verdict:
    """Judge a write of `epoch` against the lease."""
    return Verdict.GRANTED if epoch >= lease.epoch else Verdict.FENCED


def say(verdict: Verdict) -> str:
    """Return the word for an operator."""
    match verdict:
        case Verdict.GRANTED:
            return "granted"
        case Verdict.FENCED:
            return "fenced"
        case _:
            assert_never(verdict)
''',
    "ckptd/clock.py": '''"""The one place that reads a clock."""

import time


def now() -> float:
    """Seconds since the epoch."""
    return time.time()
''',
    "tests/__init__.py": '"""Tests mirror the code."""\n',
    "tests/test_lease.py": '''"""core.lease."""

from ckptd.core.lease import Epoch, Lease, Verdict, check


def test_an_older_epoch_is_fenced() -> None:
    assert check(Lease(Epoch(2)), Epoch(1)) is Verdict.FENCED


async def test_coroutines_run_without_a_marker() -> None:
    assert check(Lease(Epoch(2)), Epoch(2)) is Verdict.GRANTED
''',
}


def write(folder: Path, planted: Mapping[str, str]) -> None:
    """Write the right files, the planted ones beside them, and the project's own settings and fixtures."""
    for name, text in {**FILES, **planted}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("pyproject.toml", "tests/conftest.py"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
