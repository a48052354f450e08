"""Times and lengths of time as they are written."""

import pytest

from ckptclient.errors import BadRequest
from ckptd.ctl import moments

NOW = 1_750_000_000_000_000


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5.0), ("0.5", 0.5), ("5s", 5.0), ("1.5 h", 5400.0), ("2 d", 172_800.0)]
)
def test_lengths(text: str, seconds: float) -> None:
    assert moments.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "5 y", "1e3"])
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(ValueError, match=r"number with a unit|no unit"):
        moments.seconds(text)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2h", NOW - 7200 * 10**6),
        ("500 ms", NOW - 500_000),
        ("2025-06-15T12:00:00Z", 1_749_988_800_000_000),
        ("2025-06-15T12:00:00.25+02:00", 1_749_981_600_250_000),
    ],
)
def test_moments(text: str, at: int) -> None:
    assert moments.past(text, NOW) == at


@pytest.mark.parametrize("text", ["", "soon", "2025-13-01", "5"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(BadRequest, match="is no time"):
        moments.past(text, NOW)
