"""Damage of every kind is planted, and all of it is found and named; a store that is whole has no findings."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings, strategies as st

from ckptd.compose import open_offline
from ckptd.store.records import PACK_HEADER_BYTES, RECORD_HEADER_BYTES, Found, Record, RecordKind, record_header
from ckptd.store.verify import PackCheck
from tests.ckptd.store.verify.planting import change, filled, look, pack_of, records_of, verified

DOCS = {f"docs_custom_{n}" for n in (1, 2, 3)}
ARRAYS = {f"array_custom_{n}" for n in (1, 2)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "store"
    asyncio.run(filled(path))
    return path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "store"))


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_store_has_no_findings(store: Path, deep: bool) -> None:
    assert look(store, deep=deep) == ([], set())


def _flip(data: bytearray, at: int) -> None:
    data[at] ^= 0x10


def _swap(data: bytearray, one: Found, other: Found) -> None:
    assert one.stored_bytes == other.stored_bytes
    first, second = data[one.offset : one.end], data[other.offset : other.end]
    data[one.offset : one.end], data[other.offset : other.end] = second, first


def _copy(data: bytearray, source: Found, target: Found) -> None:
    data[target.offset : target.offset + RECORD_HEADER_BYTES + source.stored_bytes] = data[source.offset : source.end]


Plant = Callable[[bytearray, list[Found]], object]

# The chunks in order: a document, where all stood (each checkpoint has it), two deltas, an array in three pieces, another one.
PLANTED: list[tuple[str, Plant, set[str], str]] = [
    ("a bit of a document", lambda d, c: _flip(d, c[0].offset + 500), DOCS, "aren't those that were written"),
    ("a bit of a delta", lambda d, c: _flip(d, c[3].offset + 120), {"docs_custom_3"}, "aren't those"),
    ("a bit of what another stands on", lambda d, c: _flip(d, c[2].end - 1), {"docs_custom_2", "docs_custom_3"}, "aren't"),
    ("a bit of a record's header", lambda d, c: _flip(d, c[4].offset + 30), {"array_custom_1"}, "no record begins there"),
    ("a bit of the pack's header", lambda d, c: _flip(d, 30), set(), "doesn't match its checksum"),
    ("cut off in a chunk", lambda d, c: d.__delitem__(slice(c[5].offset + 5000, None)), ARRAYS, "aren't those|no record"),
    ("cut off behind its header", lambda d, c: d.__delitem__(slice(PACK_HEADER_BYTES, None)), DOCS | ARRAYS, "no record"),
    ("emptied", lambda d, c: d.clear(), DOCS | ARRAYS, "isn't there, or can't be read"),
    ("two swapped", lambda d, c: _swap(d, c[4], c[5]), {"array_custom_1"}, "another record lies there"),
    ("one written twice", lambda d, c: _copy(d, c[4], c[6]), {"array_custom_1"}, "another record lies there"),
    ("zeros in a chunk", lambda d, c: d.__setitem__(slice(c[6].offset + 200, c[6].offset + 4296), bytes(4096)), {"array_custom_1"}, "aren't those"),
    ("zeros over records", lambda d, c: d.__setitem__(slice(c[4].offset - 50, c[5].offset + 50), bytes(c[5].offset - c[4].offset + 100)), {"array_custom_1"}, "no record begins there"),
    ("bytes moved", lambda d, c: d.__setitem__(slice(c[4].offset, c[4].offset), b"x"), ARRAYS, "no record begins there"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "hits", "said"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])
def test_planted_damage_of_a_pack_is_found_and_named(store: Path, plant: Plant, hits: set[str], said: str) -> None:
    pack = pack_of(store)
    chunks = records_of(pack)
    assert [one.record.encoding for one in chunks] == [0, 0, 3, 3, 0, 0, 0, 0]
    change(pack, lambda data: plant(data, chunks))
    found, named = look(store, deep=False)
    assert named == hits
    assert any(word in one.message for one in found for word in said.split("|")), found
    assert all(one.pack_name == pack.name for one in found)


def test_a_note_that_is_damaged_is_found_too(store: Path) -> None:
    pack = pack_of(store)
    note = records_of(pack, RecordKind.CHECKPOINT)[1]
    change(pack, lambda data: _flip(data, note.end - 1))
    (found,), named = look(store)
    assert (found.message, found.offset, named) == ("a checkpoint's note is damaged", note.offset, set())


def test_what_is_nobodys_is_no_finding(store: Path) -> None:
    """A chunk that was repaired elsewhere, and half a record of a write that a crash cut short."""
    pack = pack_of(store)
    first = records_of(pack)[3]
    with apsw.Connection(str(store / "catalog.db")) as connection:
        connection.execute("UPDATE body SET refs=0 WHERE k IN (SELECT body FROM part WHERE checkpoint=3)")
        connection.execute("DELETE FROM part WHERE checkpoint=3")
        connection.execute("DELETE FROM chunk WHERE at=?", (first.offset,))

    def spoil(data: bytearray) -> None:
        data[first.offset + 30 : first.offset + 120] = bytes(90)
        data += first.record.stored

    change(pack, spoil)
    with open_offline(store) as opened:
        (row,) = opened.reader.pack_rows()
        check = PackCheck(opened.chunks, opened.chains, decode=True)
        assert check.slice(opened.reader, row, 0).findings == []


def test_a_pack_that_is_gone_is_found_with_all_that_lay_in_it(store: Path) -> None:
    pack_of(store).unlink()
    found, named = look(store)
    assert named == DOCS | ARRAYS
    assert "isn't there" in found[0].message


def test_a_pack_that_was_rolled_back_is_found(store: Path) -> None:
    pack = pack_of(store)
    last = records_of(pack)[-1]
    change(pack, lambda data: data.__delitem__(slice(last.offset, None)))
    found, named = look(store)
    assert [one.chunk_id for one in found] == [last.record.id, b""], "the chunk, and the note behind it"
    assert named == {"array_custom_2"}


def test_a_pack_under_the_name_of_another_is_found(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    asyncio.run(filled(other))
    shutil.copyfile(pack_of(other), pack_of(store))
    found, named = look(store)
    assert found[0].message == "it is the header of another pack"
    assert named == DOCS | ARRAYS


def test_a_record_that_is_whole_and_has_other_bytes_is_found_by_a_deep_look(store: Path) -> None:
    """Written wrong from the start, with a check of its own: what bad memory does before a record is made."""
    with open_offline(store) as opened:
        (row,) = opened.reader.placed(next(iter(opened.reader.packs())), 0, 1)
        assert opened.chains.id_of(b"other") != row.row.id
    pack = pack_of(store)
    first = records_of(pack)[0]
    plain = bytes(first.record.plain_bytes)
    stored = first.record.stored[:-4] + b"zzzz"
    record = Record(first.record.kind, first.record.namespace, first.record.id, 0, len(plain), stored)
    assert len(stored) == len(plain), "it doesn't compress"
    change(
        pack,
        lambda data: data.__setitem__(
            slice(first.offset, first.end), record_header(record, bytes.fromhex(pack.stem)) + stored
        ),
    )
    assert look(store, deep=False) == ([], set())
    found, named = look(store, deep=True)
    assert [one.message for one in found] == ["the chunk's bytes don't have its id"]
    assert named == DOCS


def test_any_byte_that_changes_is_found(store: Path) -> None:
    pack = pack_of(store)
    data = pack.read_bytes()

    @settings(max_examples=150, deadline=None)
    @given(at=st.integers(0, len(data) - 1), bits=st.integers(1, 255))
    def changed(at: int, bits: int) -> None:
        with pack.open("r+b") as file:
            file.seek(at)
            file.write(bytes([data[at] ^ bits]))
        try:
            assert found()
        finally:
            pack.write_bytes(data)

    def found() -> bool:
        with open_offline(store) as opened:
            return any(one.pack_name == pack.name for one in verified(opened, deep=False))

    changed()


# The catalog


@pytest.mark.parametrize(
    ("wrong", "said", "hits"),
    [
        ("UPDATE checkpoint SET small=x'00' WHERE k=(SELECT max(k) FROM checkpoint)", "cut off", {"tiny_custom_2"}),
        ("UPDATE checkpoint SET manifest=x'00' WHERE k=1", "doesn't match its checksum", {"docs_custom_1"}),
        ("UPDATE checkpoint SET small=zeroblob(length(small)) WHERE small IS NOT NULL", "match its hash", {"tiny_custom_1", "tiny_custom_2"}),
        ("UPDATE body SET hash=zeroblob(32) WHERE k=1", "aren't those that its hash is of", {"docs_custom_1"}),
        ("UPDATE body SET bytes=1 WHERE k=1", "have other lengths", {"docs_custom_1"}),
        ("UPDATE part SET body=2 WHERE body=1", "aren't those that its manifest names", {"docs_custom_1"}),
        ("UPDATE chunk SET pack=9 WHERE k=4", "chunk refers to pack 9", set()),
        ("UPDATE chunk SET at=at+1 WHERE k=5", "no record begins there", {"array_custom_1"}),
        ("UPDATE chunk SET base=1 WHERE k=5", "don't agree", {"array_custom_1"}),
        ("UPDATE chunk SET refs=7 WHERE k=1", "references to chunk 1", set()),
    ],
)  # fmt: skip
def test_rows_that_are_wrong_are_found(store: Path, wrong: str, said: str, hits: set[str]) -> None:
    connection = apsw.Connection(str(store / "catalog.db"))
    connection.execute(wrong)
    connection.close()
    found, named = look(store)
    assert any(said in one.message for one in found), found
    assert named >= hits


@pytest.mark.parametrize("how", ["zeros", "noise", "another page", "an older page"])
def test_pages_of_the_catalog_that_are_damaged_are_found(store: Path, how: str) -> None:
    catalog = store / "catalog.db"
    data = catalog.read_bytes()
    pages = len(data) // 4096
    connection = apsw.Connection(str(catalog))
    used = {
        root
        for (root,) in connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name IN ('chunk','body','checkpoint','chunk_id')"
        )
    }
    connection.close()
    for page in sorted(used):
        begin = (page - 1) * 4096
        other = (pages // 2) * 4096 if page != pages // 2 + 1 else 0
        bad = {
            "zeros": bytes(4096),
            "noise": bytes(range(256)) * 16,
            "another page": data[other : other + 4096],
            "an older page": data[begin : begin + 8] + bytes(4088),
        }[how]
        catalog.write_bytes(data[:begin] + bad + data[begin + 4096 :])
        found, _ = look(store)
        assert found, (how, page)
    catalog.write_bytes(data)
    assert look(store) == ([], set())
