"""A save is refused with the numbers that help."""

import pytest
from hypothesis import given, strategies as st

from ckptclient.errors import NoSpace, Quota
from ckptd.core import quota
from ckptd.core.quota import Space

GB = 10**9
MB = 10**6


@pytest.mark.parametrize(
    ("space", "asked", "code", "message"),
    [
        (Space(0, None, 10, 0), 10, None, ""),
        (Space(0, None, 10, 0), 11, "NO_SPACE", "the file system is full"),
        (Space(0, None, 74 * MB, 64 * MB), 10 * MB, None, ""),
        (Space(0, None, 74 * MB, 64 * MB), 11 * MB, "NO_SPACE", "74.0 MB are free and 64.0 MB of them reserved"),
        (Space(0, None, 10, 64), 0, None, ""),
        (Space(0, None, 10, 64), 1, "NO_SPACE", "the file system is full"),
        (Space(90, 100, 1000, 0), 10, None, ""),
        (Space(90, 100, 1000, 0), 11, "NO_SPACE", "the store is full: 90 B of 100 B used"),
        (Space(150, 100, 1000, 0), 0, None, ""),  # a limit that was lowered
        (Space(150, 100, 1000, 0), 1, "NO_SPACE", "the store is full"),
        (Space(90, 100, 5, 0), 6, "NO_SPACE", "the file system is full"),  # the narrower bound is named
        (Space(90, 100, 10, 0), 11, "NO_SPACE", "the store is full"),
        (
            Space(10 * GB, 10 * GB, 90 * GB, 0),
            14 * GB // 10,
            "NO_SPACE",
            "10.0 GB of 10.0 GB used; this save needs 1.4 GB",
        ),
        (Space(90, 100, 1000, 0, user="anna"), 11, "QUOTA", "the quota of anna is reached: 90 B of 100 B used"),
        (Space(90, 100, 5, 0, user="anna"), 6, "NO_SPACE", "the file system is full"),
    ],
)
def test_admit(space: Space, asked: int, code: str | None, message: str) -> None:
    if code is None:
        quota.admit(space, asked)
        return
    with pytest.raises(NoSpace) as caught:
        quota.admit(space, asked)
    assert caught.value.code == code
    assert message in caught.value.message
    assert "ckptctl" in str(caught.value.hint)


def test_the_details_are_bytes() -> None:
    with pytest.raises(Quota) as caught:
        quota.admit(Space(95, 100, 1000, 0, user="anna"), 20)
    assert caught.value.details == {
        "needed_bytes": 20,
        "available_bytes": 5,
        "used_bytes": 95,
        "limit_bytes": 100,
        "missing_bytes": 15,
    }


SIZE = st.integers(0, 10**18)


@given(SIZE, st.none() | SIZE, SIZE, SIZE, SIZE)
def test_what_is_admitted_fits(used: int, limit: int | None, free: int, reserve: int, asked: int) -> None:
    try:
        quota.admit(Space(used, limit, free, reserve), asked)
    except NoSpace as refusal:
        missing = refusal.details["missing_bytes"]
        assert isinstance(missing, int)
        assert 0 < missing <= asked
        quota.admit(Space(used, limit, free, reserve), asked - missing)
    else:
        assert asked == 0 or (asked + reserve <= free and (limit is None or used + asked <= limit))


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_400_000_000, "1.4 GB"),
        (10**18, "1.0 EB"),
        (10**22, "10000.0 EB"),
    ],
)
def test_size(count: int, text: str) -> None:
    assert quota.size(count) == text
