"""core.compaction: which packs are rewritten, and together with which."""

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from ckptd.core.compaction import DEAD_SHARE_MAX, Use, choose
from ckptd.core.ids import PackKey

TARGET = 1000


def use(key: int, size: int, dead: int, lifetime: int = 1, tight: bool = False) -> Use:
    return Use(PackKey(key), lifetime, tight, size, dead)


def many(count: int, size: int, dead: int) -> list[Use]:
    return [use(100 + n, size, dead) for n in range(count)]


@pytest.mark.parametrize(
    ("packs", "wanted"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(many(30, 1000, 0), [], id="nothing is dead"),
        pytest.param([use(1, 1000, 510), *many(30, 1000, 0)], [[1]], id="less than half alive"),
        pytest.param([use(1, 1000, 500), *many(30, 1000, 0)], [], id="half alive, and little of all"),
        pytest.param([use(1, 1000, 500), use(2, 1000, 300), *many(10, 1000, 0)], [[1]], id="much of all"),
        pytest.param([use(n, 1000, 600) for n in (1, 2, 3)], [[1, 2], [3]], id="as many as fill a pack, oldest first"),
        pytest.param([use(1, 900, 600, 1), use(2, 900, 600, 2)], [[1], [2]], id="each class by itself"),
        pytest.param([use(1, 900, 600), use(2, 900, 600, tight=True)], [[1], [2]], id="what is tight stays so"),
        pytest.param(many(8, 60, 0), [], id="a few small ones"),
        pytest.param(many(9, 60, 0), [list(range(100, 109))], id="many small ones"),
        pytest.param([use(1, 3000, 1600), use(2, 900, 700)], [[1], [2]], id="one that is larger than a pack"),
    ],
)
def test_what_is_rewritten(packs: Sequence[Use], wanted: list[list[int]]) -> None:
    assert choose(packs, TARGET) == wanted


PACKS = st.lists(st.tuples(st.integers(1, 2000), st.floats(0, 1), st.integers(1, 3), st.booleans()), max_size=40).map(
    lambda found: [
        Use(PackKey(n), life, tight, size, int(size * dead)) for n, (size, dead, life, tight) in enumerate(found)
    ]
)


@given(PACKS)
def test_little_is_dead_afterwards_and_a_second_run_has_nothing_to_do(packs: list[Use]) -> None:
    groups = choose(packs, TARGET)
    by_key = {pack.key: pack for pack in packs}
    keys = [key for group in groups for key in group]
    assert len(keys) == len(set(keys))
    left = [pack for pack in packs if pack.key not in keys]
    new = [
        Use(PackKey(1000 + n), by_key[group[0]].lifetime, by_key[group[0]].tight, live, 0)
        for n, group in enumerate(groups)
        if (live := sum(by_key[key].live_bytes for key in group))
    ]
    after = left + new
    assert sum(pack.dead_bytes for pack in after) <= DEAD_SHARE_MAX * sum(pack.bytes for pack in after)
    for group in groups:
        assert len({(by_key[key].lifetime, by_key[key].tight) for key in group}) == 1
    again = [key for group in choose(after, TARGET) for key in group]
    assert all(pack.dead_bytes == 0 for pack in after if pack.key in again), "only small ones may still be put together"
