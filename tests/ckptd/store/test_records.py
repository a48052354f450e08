"""The bytes of a pack: the golden vector, the document's example, and scans of damaged packs."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from ckptclient.errors import Damaged, VersionMismatch
from ckptd.store import records
from ckptd.store.records import Found, Gap, Note, PackHeader, PackKind, Record, RecordKind, scan

ROOT = Path(__file__).parents[3]
VECTOR = json.loads((ROOT / "tests/format_vectors/pack.json").read_text())

NAME = bytes(range(16))
HEADER = PackHeader(lineage=b"L" * 16, name=NAME, kind=PackKind.SHARED, lifetime=3)
NOTE = Note(
    process_id="résumé",
    seq=7,
    epoch=2,
    type=2,
    has_state=True,
    created_at=1_750_000_000_000_000,
    journal_position=41,
    schema_version=1,
    manifest=b"manifest",
    chunks=(b"\x11" * 32, b"", b"\x22" * 32 + b"\x33" * 32),
)


def chunk(number: int, stored: bytes) -> Record:
    return Record(RecordKind.CHUNK, 1000, bytes([number]) * 32, 0, len(stored), stored)


FIRST, SECOND, THIRD = chunk(1, b"first"), chunk(2, b"the second"), chunk(3, b"third" * 100)


def image(*wanted: Record, name: bytes = NAME) -> bytes:
    pieces = [records.pack_header(PackHeader(HEADER.lineage, name, PackKind.SHARED))]
    for record in wanted:
        pieces += records.record_header(record, name), record.stored
    return b"".join(pieces)


def found(raw: bytes) -> list[Record]:
    return [place.record for place in scan(raw) if isinstance(place, Found) and place.intact]


def gaps(raw: bytes) -> list[tuple[int, bool]]:
    return [(place.size_bytes, place.torn) for place in scan(raw) if isinstance(place, Gap)]


def test_the_golden_vector_is_what_this_release_writes_and_reads() -> None:
    raw = bytes.fromhex("".join(step["hex"] for step in VECTOR["bytes"]))
    header, begin = records.parse_pack_header(raw)
    assert header == PackHeader(b"LINEAGE.LINEAGE.", b"NAME.NAME.NAME.!", PackKind.PRIVATE, 5)
    assert begin == records.PACK_HEADER_BYTES
    chunk, checkpoint = found(raw)
    assert (chunk.kind, chunk.namespace, chunk.encoding) == (RecordKind.CHUNK, 1000, 0)
    assert (chunk.id, chunk.plain_bytes, chunk.stored) == (b"\xab" * 32, 11, b"hello world")
    assert (checkpoint.kind, checkpoint.id) == (RecordKind.CHECKPOINT, b"\xcd" * 32)
    assert records.parse_note(checkpoint.stored) == Note("job", 7, 2, 2, True, 3, 4, 5, b"MANIFEST", (b"\xab" * 32,))
    written = records.pack_header(header)
    for record in (chunk, checkpoint):
        written += records.record_header(record, header.name) + record.stored
    assert written == raw


def test_the_document_shows_the_golden_vector() -> None:
    document = (ROOT / "docs/FORMAT.md").read_text()
    (example,) = re.findall(r"```pack\n(.*?)```", document, re.DOTALL)
    shown = [line.partition("#")[0].split() for line in example.splitlines()]
    assert ["".join(words) for words in shown if words] == [step["hex"] for step in VECTOR["bytes"]]


def test_a_header_says_what_it_was_made_of() -> None:
    assert records.parse_pack_header(records.pack_header(HEADER)) == (HEADER, records.PACK_HEADER_BYTES)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", Damaged),
        (b"SQLite format 3\0".ljust(200, b"\0"), Damaged),
        (image()[:-1], Damaged),
        (image()[:30] + b"?" + image()[31:], Damaged),
        (image()[:8] + b"\0\2" + image()[10:], VersionMismatch),
    ],
    ids=["empty", "another file", "cut off", "flipped", "a later version"],
)
def test_a_file_that_is_no_pack_of_ours_is_refused(raw: bytes, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        list(scan(raw))


def test_a_scan_finds_every_record_in_order() -> None:
    assert found(image(FIRST, SECOND, THIRD)) == [FIRST, SECOND, THIRD]
    assert gaps(image(FIRST, SECOND, THIRD)) == []


@pytest.mark.parametrize("cut", range(1, SECOND.size_bytes))
def test_a_torn_end_is_told_from_a_good_one(cut: int) -> None:
    raw = image(FIRST, SECOND)[:-cut]
    assert found(raw) == [FIRST]
    last = list(scan(raw))[-1]
    assert last.torn if isinstance(last, Gap) else not last.intact


def test_space_that_was_never_written_is_a_torn_gap() -> None:
    assert gaps(image(FIRST) + bytes(5000)) == [(5000, True)]
    assert found(image(FIRST) + bytes(5000)) == [FIRST]


@given(place=st.integers(0, SECOND.size_bytes - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_one_record_and_never_goes_unseen(place: int, bit: int) -> None:
    raw = bytearray(image(FIRST, SECOND, THIRD))
    raw[records.PACK_HEADER_BYTES + FIRST.size_bytes + place] ^= 1 << bit
    assert found(bytes(raw)) == [FIRST, THIRD]


def test_the_scan_finds_its_way_over_more_than_a_window() -> None:
    raw = image(FIRST)
    # The next header's magic lies across the end of the first window of the search.
    lost = b"\xf7CkR" + bytes((1 << 20) - 2 - 4 + 1)
    name = image(SECOND)[records.PACK_HEADER_BYTES :]
    assert found(raw + lost + name) == [FIRST, SECOND]


def test_a_record_inside_a_payload_is_not_taken_for_one() -> None:
    """A backup of another pack may be stored as a payload; damage to its header must not bring its records to life."""
    stranger = image(chunk(9, b"another store's"), name=b"x" * 16)
    raw = bytearray(image(chunk(4, stranger), SECOND))
    raw[records.PACK_HEADER_BYTES] ^= 0xFF
    assert found(bytes(raw)) == [SECOND]


def test_a_note_says_what_it_was_made_of() -> None:
    assert records.parse_note(records.pack_note(NOTE)) == NOTE


@pytest.mark.parametrize("cut", [1, 33, 64, 120])
def test_a_note_that_is_cut_off_is_damaged(cut: int) -> None:
    with pytest.raises(Damaged):
        records.parse_note(records.pack_note(NOTE)[:-cut])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_note_or_damaged(raw: bytes) -> None:
    try:
        note = records.parse_note(raw)
    except Damaged:
        return
    assert len(records.pack_note(note)) == len(raw)


@given(st.binary(max_size=500))
def test_a_scan_of_any_bytes_covers_them_all(tail: bytes) -> None:
    covered = sum(
        place.size_bytes if isinstance(place, Gap) else records.RECORD_HEADER_BYTES + len(place.record.stored)
        for place in scan(image(FIRST) + tail)
    )
    assert covered == len(image(FIRST) + tail) - records.PACK_HEADER_BYTES
