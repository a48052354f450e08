"""loops.proving: a look each minute, where proofs are wanted by themselves."""

from types import SimpleNamespace
from typing import Any

from ckptd.loops.proving import prove
from tests.ckptd.loops.test_monitor import running
from tests.fakes import FakeClock


async def test_it_looks_each_minute_unless_proofs_come_only_when_asked() -> None:
    clock, rounds = FakeClock(), list[float]()
    settings = SimpleNamespace(interval_seconds=86_400.0)

    async def go_round() -> None:
        rounds.append(clock.monotonic())
        settings.interval_seconds = 0.0 if len(rounds) == 2 else 86_400.0

    config: Any = SimpleNamespace(proof=settings)
    proving: Any = SimpleNamespace(round=go_round)
    await running(prove(clock, lambda: config, proving), clock, 59.0, 1.0, 60.0, 60.0)
    assert rounds == [60.0, 120.0]
