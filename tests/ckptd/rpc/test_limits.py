"""Who gets a slot."""

import pytest

from ckptclient.errors import Busy
from ckptd.rpc.limits import Bounds, Slots
from ckptd.service.caller import Role

WORKER, OPERATOR = Role.WORKER, Role.OPERATOR
BOUNDS = Bounds(connections_max=10, operator_slots=2, user_share=0.75)

Step = tuple[str, int, Role]


@pytest.mark.parametrize(
    ("taken", "uid", "role", "gets_in"),
    [
        ([], 1, WORKER, True),
        ([(1, WORKER)] * 5, 1, WORKER, True),
        ([(1, WORKER)] * 6, 1, WORKER, False),  # three quarters of eight: the share of one user
        ([(1, WORKER)] * 6, 2, WORKER, True),
        ([(1, WORKER)] * 6 + [(2, WORKER)] * 2, 2, WORKER, False),  # the last two are the operators'
        ([(1, WORKER)] * 6 + [(2, WORKER)] * 2, 0, OPERATOR, True),
        ([(1, WORKER)] * 6 + [(2, WORKER)] * 2 + [(0, OPERATOR)] * 2, 0, OPERATOR, False),
        ([(0, OPERATOR)] * 8, 1, WORKER, False),
        ([(0, OPERATOR)] * 9, 0, OPERATOR, True),
    ],
)
def test_who_gets_in(taken: list[tuple[int, Role]], uid: int, role: Role, gets_in: bool) -> None:
    slots = Slots(BOUNDS)
    for one in taken:
        slots.take(*one)
    if gets_in:
        slots.take(uid, role)
        assert slots.taken == len(taken) + 1
    else:
        with pytest.raises(Busy):
            slots.take(uid, role)
        assert slots.taken == len(taken)


def test_a_slot_that_is_given_back_is_free() -> None:
    slots = Slots(BOUNDS)
    for _ in range(6):
        slots.take(1, WORKER)
    slots.give(1, WORKER)
    slots.take(1, WORKER)
    for _ in range(6):
        slots.give(1, WORKER)
    assert slots.taken == 0


def test_two_full_frames_fit_even_the_smallest_bound() -> None:
    assert Bounds(connection_bytes_max=2 << 20).bulk_max == 1
    assert Bounds(connection_bytes_max=8 << 20).bulk_max == 4
