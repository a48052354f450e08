"""core.advice: no rule speaks without a figure, and each says command, figure and gain."""

from collections.abc import Sequence
from typing import Any

import pytest

from ckptd.core.advice import Costly, Exposed, Recommendation, Room, Stuck, recommend
from ckptd.core.health import About, Figure, Health, judge

WELL = judge({"space": Figure(0.9), "clients_refused": Figure(0)})
FULL = judge({"space": Figure(0.05)})
REFUSING = judge({"clients_refused": Figure(12)})
WAITING = judge({"expiry_waits": Figure(1, "the clock ran ahead")})
ROOM = Room(left_bytes=10**9, free_bytes=10**9, trash_count=0)
DAY = 86_400.0
P = About(1000, "my run")


def advised(
    health: Health = WELL,
    room: Room = ROOM,
    exposed: Sequence[Exposed] = (),
    stuck: Sequence[Stuck] = (),
    costly: Sequence[Costly] = (),
) -> list[Recommendation]:
    return recommend(health, room, exposed, stuck, costly, DAY)


def test_nothing_is_advised_where_all_is_well() -> None:
    assert advised(room=Room(10**9, 10**12, 500)) == []
    assert advised(FULL) == []


@pytest.mark.parametrize(
    ("asked", "component", "command", "why", "gain"),
    [
        ({"health": FULL, "room": Room(10**9, 10**9, 500)}, "space", "ckptctl cleanup", "500 checkpoints lie in the trash", "room of 500"),
        ({"health": FULL, "room": Room(10**9, 5 * 10**9, 0)}, "space", "ckptctl explain store.limit", "5.0 GB are free", "4.0 GB more"),
        ({"health": REFUSING}, "clients_refused", "ckptctl explain limits.connections_max", "12 connections", "12 connections"),
        ({"health": WAITING}, "expiry_waits", "ckptctl cleanup", "the clock ran", "space is given back"),
        ({"stuck": [Stuck(P, 840.0, 2.0)]}, "stalled_work", "ckptctl show 'my run'", "14 m", "1,680 steps"),
        ({"exposed": [Exposed(P, 1200.0, 300.0)]}, "rpo", "ckptctl show 'my run'", "20 m of its work", "15 m less"),
        ({"costly": [Costly(P, 30.0, 300.0)]}, None, "ckptctl explain checkpoint.interval", "10 % of its time", "of work in each hour"),
    ],
)  # fmt: skip
def test_a_rule(asked: dict[str, Any], component: str | None, command: str, why: str, gain: str) -> None:
    (found,) = advised(**asked)
    assert (found.component, found.command) == (component, command)
    assert why in found.why
    assert gain in found.gain


@pytest.mark.parametrize("costly", [Costly(P, 1.0, 300.0), Costly(P, 30.0, 20_000.0)])
def test_a_save_that_costs_little_is_left_alone(costly: Costly) -> None:
    assert advised(costly=[costly]) == []
