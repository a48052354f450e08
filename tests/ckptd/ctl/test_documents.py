"""Values of applications as JSON, and times."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from ckptclient.payload import encode_value
from ckptd.ctl import documents


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (None, None), (True, True), (2**70, 2**70), (0.5, 0.5), (float("nan"), {"text": "nan"}), (float("-inf"), {"text": "-inf"}),
        ("ü", "ü"), (b"\x00", {"base64": "AA=="}), (bytearray(b"a"), {"base64": "YQ=="}), ((1, (2,)), [1, [2]]), ({3}, [3]),
        ({"a": (1,), 2: b""}, {"a": [1], "2": {"base64": ""}}), (datetime(2025, 6, 15, tzinfo=UTC), "2025-06-15T00:00:00+00:00"),
        (date(2025, 6, 15), "2025-06-15"), (timedelta(hours=1), {"text": "1:00:00"}), (Decimal("1.50"), {"text": "1.50"}),
        (1 + 2j, {"text": "(1+2j)"}),
    ],
)  # fmt: skip
def test_a_value_as_near_as_json_comes(plain: object, expected: object) -> None:
    assert documents.jsonable(plain) == expected
    assert documents.value(encode_value(plain)) == expected


@pytest.mark.parametrize("packed", [b"\xc1", b"\xff\xff", encode_value([1]) + b"\x00"])
def test_what_is_no_value_stays_bytes(packed: bytes) -> None:
    found = documents.value(packed)
    assert isinstance(found, dict)
    assert set(found) == {"base64"}


def test_no_value_is_null() -> None:
    assert documents.value(None) is None
    assert documents.value(b"") is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(VALUES)
def test_a_line_is_one_line_of_ascii(plain: object) -> None:
    line = documents.line({"value": documents.jsonable(plain)})
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line, parse_constant=pytest.fail)["schema"] == documents.SCHEMA


@pytest.mark.parametrize(
    ("at", "text"),
    [(None, None), (0, "1970-01-01T00:00:00.000000Z"), (1_750_000_000_000_001, "2025-06-15T15:06:40.000001Z")],
)
def test_times_are_rfc_3339_in_utc(at: int | None, text: str | None) -> None:
    assert documents.time_of(at) == text
