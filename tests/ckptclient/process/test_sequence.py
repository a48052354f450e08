"""Places, keys and digests: which items are done already."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from ckptclient.calls import Call
from ckptclient.errors import BadRequest, Encoding
from ckptclient.payload import encode_value
from ckptclient.process import sequence
from ckptclient.process.sequence import CHUNK, PLACES_IN_A_PAGE, Keys, Mark, Recorded, key_digest, sequenced
from ckptclient.wire import limits

TOKEN = b"t" * 48


@given(st.integers(0, 3 * CHUNK), st.integers(0, 3 * CHUNK))
def test_appending_is_told_from_changing_at_any_length(before: int, more: int) -> None:
    items = [f"item {n}" for n in range(before + more)]
    known = sequenced(items[:before], None).mark
    expected = "no" if more == 0 else "appended" if before else "changed"
    assert sequenced(items, known).against(known) == expected


@given(st.lists(st.integers(), min_size=1, max_size=50), st.data())
def test_any_other_item_is_a_change(items: list[int], data: st.DataObject) -> None:
    known = sequenced(items, None).mark
    changed = [*items]
    place = data.draw(st.integers(0, len(items) - 1))
    changed[place] += 1
    assert sequenced(changed, known).against(known) == "changed"
    assert sequenced([*changed, 1], known).against(known) == "changed"
    assert sequenced(items[:-1], known).against(known) == "changed"


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (range(5), range(5), "no"),
        (range(5), range(9), "appended"),
        (range(0, 10, 2), range(0, 12, 2), "appended"),
        (range(5), range(1, 9), "changed"),
        (range(0, 10, 2), range(0, 30, 3), "changed"),
        ({"a": 1}, {"a": 2, "b": 3}, "appended"),
        ({"a": 1}, {"b": 1}, "changed"),
        ((1, 2), [1, 2], "no"),
    ],
)
def test_ranges_dicts_and_tuples(before: Any, after: Any, verdict: str) -> None:
    known = sequenced(before, None).mark
    assert sequenced(after, known).against(known) == verdict


def test_a_mark_is_read_back_as_the_daemon_keeps_it() -> None:
    mark = sequenced([1, 2, 3], None).mark
    assert Mark.unpack(mark.length.to_bytes(8, "big") + mark.digest) == mark
    assert Mark.unpack(None) is None
    assert Mark.unpack(b"") is None


def test_items_that_have_no_stable_value_need_a_key() -> None:
    with pytest.raises(Encoding, match="of the items from 0 on") as caught:
        sequenced([1, object()], None)
    assert caught.value.hint is not None
    assert "key=" in caught.value.hint
    with pytest.raises(BadRequest, match="too long"):
        sequence.packed_key("x" * (limits.item_bytes_max + 1))
    plan = sequence.by_key([object()], lambda _item: "named", sequence.NOTHING)
    assert [key for _, key, _ in plan] == [encode_value("named")]


@given(st.sets(st.binary(max_size=8)), st.sets(st.binary(max_size=8)))
def test_keys_are_found_and_others_are_not(inside: set[bytes], outside: set[bytes]) -> None:
    keys = Keys(b"".join(sorted(map(key_digest, inside))))
    assert len(keys) == len(inside)
    assert all(one in keys for one in inside)
    assert not any(one in keys for one in outside - inside)


def ask(pages: dict[str, Any]) -> Any:
    """A client whose answers come from these, one page after the other."""

    def call(one: Call[Any]) -> Any:
        return one.read(pages[one.method].pop(0))

    return call


def test_places_are_asked_for_in_pages() -> None:
    first, second = b"\x01", b"\x03"
    pages = {
        "journal.ordinals": [
            {"first": 0, "done": first, "failed": b""},
            {"first": PLACES_IN_A_PAGE, "done": b"", "failed": second},
        ],
        "journal.digests": [{"digests": b"", "failed": b"", "next": None}],
    }
    found = sequence.recorded(ask(pages), TOKEN, PLACES_IN_A_PAGE + 5, retry_failed=False)
    assert found.count == 3
    left = [place for place, _, _ in sequence.by_place(range(PLACES_IN_A_PAGE + 5), found)]
    assert set(range(PLACES_IN_A_PAGE + 5)) - set(left) == {0, PLACES_IN_A_PAGE, PLACES_IN_A_PAGE + 1}


@pytest.mark.parametrize(("retry_failed", "left"), [(False, ["c"]), (True, ["b", "c"])])
def test_keys_are_asked_for_in_pages_and_failed_ones_may_come_again(retry_failed: bool, left: list[str]) -> None:
    digests = sorted(key_digest(encode_value(one)) for one in "ab")
    failed = [digest == key_digest(encode_value("b")) for digest in digests]
    pages = {
        "journal.digests": [
            {"digests": digests[0], "failed": bytes([failed[0]]), "next": digests[0]},
            {"digests": digests[1], "failed": bytes([failed[1]]), "next": None},
        ]
    }
    found = sequence.recorded(ask(pages), TOKEN, 0, retry_failed=retry_failed)
    assert [item for _, _, item in sequence.by_key(iter("abc"), None, found)] == left


def test_what_a_member_recorded_by_key_is_not_yielded_by_place() -> None:
    found = Recorded(b"\x01", Keys(key_digest(encode_value("b"))))
    assert [item for _, _, item in sequence.by_place(["a", "b", "c"], found)] == ["c"]


def test_an_item_too_long_for_a_record_is_known_by_its_place_alone() -> None:
    long = ["x" * limits.item_bytes_max]
    assert list(sequence.by_place([long], sequence.NOTHING)) == [(0, b"", long)]
