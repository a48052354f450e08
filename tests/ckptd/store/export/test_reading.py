"""Export files come back as they were; hostile ones give a clear error in little memory."""

import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from ckptclient.errors import BadRequest, Damaged, VersionMismatch
from ckptd.store.export import Placed, read_export
from ckptd.store.export.layout import HEADER_BYTES
from tests.ckptd.store.export.examples import DESCRIPTION, FORM, MIB, contents, noise, part, written

READER = Path(__file__).parents[4] / "docs/read_export.py"

DATA = {
    "state": b"a document " * 1000,
    "state/0": noise(2 * MIB + 17),
    "exactly": noise(MIB),
    "zeros": bytes(3 * MIB),
    "empty": b"",
}
LARGE = written(*(part(name, data) for name, data in DATA.items()))


def refused(raw: bytes) -> bool:
    """Whether reading it to its end ends in one of the errors that are promised."""
    try:
        contents(raw)
    except (Damaged, BadRequest, VersionMismatch):
        return True
    return False


def test_what_was_written_is_read() -> None:
    reading = read_export(io.BytesIO(LARGE))
    assert reading.description == DESCRIPTION
    assert [(one.name, one.form, one.size_bytes) for one in reading.parts] == [
        (name, FORM, len(data)) for name, data in DATA.items()
    ]
    assert {one.name: b"".join(pieces) for one, pieces in reading.contents()} == DATA
    assert reading.digest == LARGE[-32:]


def test_parts_that_nobody_wants_are_checked_all_the_same() -> None:
    raw = bytearray(LARGE)
    raw[len(LARGE) // 2] ^= 1
    with pytest.raises(Damaged):
        read_export(io.BytesIO(bytes(raw))).check()


def test_a_part_that_gives_other_than_it_said_ends_the_export() -> None:
    planned, _ = part("a", b"12345")
    with pytest.raises(Damaged, match="gave 4 bytes"):
        written((planned, [b"1234"]))


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_good_header_are_refused(tail: bytes) -> None:
    assert refused(written()[:HEADER_BYTES] + tail)


@given(st.data())
def test_a_garbled_file_is_refused(data: st.DataObject) -> None:
    good = written(part("a", b"hello " * 100), part("b", noise(300)))
    begin = data.draw(st.integers(0, len(good) - 1))
    end = data.draw(st.integers(begin, min(len(good), begin + 40)))
    raw = good[:begin] + data.draw(st.binary(max_size=40)) + good[end:]
    assert refused(raw) or raw == good


def with_head(said: bytes, listed: bytes = b"", count: int = 0, rest: bytes = b"") -> bytes:
    """A file whose header is in order, around a description and a list that may not be."""
    check = zlib.crc32(listed, zlib.crc32(said))
    header = struct.pack(">8sHHIIII", b"\x89CKPTEX\n", 1, 32, len(said), len(listed), count, check)
    return header + struct.pack(">I", zlib.crc32(header)) + said + listed + rest


@given(st.binary(max_size=200))
def test_any_description_is_read_or_refused(said: bytes) -> None:
    assert refused(with_head(said))


@given(st.binary(max_size=200), st.integers(0, 5000))
def test_any_list_of_parts_is_read_or_refused(listed: bytes, count: int) -> None:
    assert refused(with_head(DESCRIPTION.pack(), listed, count))


HOSTILE = {
    "a description of 4 GiB": b"\x89CKPTEX\n" + struct.pack(">HHIIII", 1, 32, 0xFFFFFFFF, 0, 0, 0) + bytes(4),
    "lists in lists": with_head(b"\x91" * 400_000),
    "many small lists": with_head(b"\xdd\x00\x06\x00\x00" + b"\x90" * 393_216),
    "an array of 2^32": with_head(b"\xdd\xff\xff\xff\xff"),
    "a part of 2^64 bytes": with_head(
        DESCRIPTION.pack(), struct.pack(">HHQ", 1, 0, (1 << 64) - 1) + b"a", 1, bytes(64)
    ),
    "a key that is a list": with_head(b"\x81\x90\x01"),
}


def _crc(raw: bytes) -> bytes:
    return raw[:28] + struct.pack(">I", zlib.crc32(raw[:28])) + raw[32:]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_takes_little_memory(name: str) -> None:
    raw = _crc(HOSTILE[name])
    tracemalloc.start()
    try:
        assert refused(raw)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * MIB


def test_a_frame_may_not_announce_more_than_it_has() -> None:
    """13 bytes of zstd can claim exabytes; the check is right, so it is the length that must be judged."""
    from ckptd.store.export import layout

    bomb = bytes.fromhex("28b52ffde0ffffffffffffff7f010000")
    listed = struct.pack(">HHQ", 1, 0, MIB) + b"a"
    raw = with_head(DESCRIPTION.pack(), listed, 1, layout.pack_frame(0, 0, 1, bomb) + bomb)
    with pytest.raises(Damaged, match="announces"):
        contents(raw)


def test_memory_stays_constant_whatever_the_size() -> None:
    tracemalloc.start()
    try:
        for _, pieces in read_export(io.BytesIO(LARGE)).contents():
            for _ in pieces:
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * MIB


@pytest.mark.parametrize(
    ("offset", "size_bytes"),
    [(0, 10), (MIB - 5, 10), (MIB, MIB), (0, 5 * MIB), (2 * MIB + 16, 1), (2 * MIB + 17, 5), (5, 0)],
)
def test_a_piece_is_read_in_place(offset: int, size_bytes: int) -> None:
    placed = Placed(io.BytesIO(LARGE))
    assert [one.name for one in placed.parts] == list(DATA)
    assert placed.read(1, offset, size_bytes) == DATA["state/0"][offset : offset + size_bytes]


def test_a_piece_outside_of_its_part_is_refused() -> None:
    with pytest.raises(BadRequest, match="lies outside"):
        Placed(io.BytesIO(LARGE)).read(0, 11_001, 1)


@pytest.mark.parametrize("cut", [49, 100, MIB, len(LARGE) - 60])
def test_a_file_whose_parts_are_cut_off_is_not_read_in_place(cut: int) -> None:
    with pytest.raises(Damaged, match="cut off"):
        Placed(io.BytesIO(LARGE[:-cut]))


def test_frames_that_changed_places_are_seen() -> None:
    from ckptd.store.export import layout

    first, second = noise(2 * MIB)[:MIB], noise(2 * MIB)[MIB:]
    good = written(part("a", first + second), level=0)
    frames_at = good.index(first) - layout.FRAME_HEADER_BYTES
    each = layout.FRAME_HEADER_BYTES + MIB
    swapped = (
        good[:frames_at]
        + good[frames_at + each : frames_at + 2 * each]
        + good[frames_at : frames_at + each]
        + good[frames_at + 2 * each :]
    )
    with pytest.raises(Damaged, match="check"):
        Placed(io.BytesIO(swapped)).read(0, 0, 10)


def test_the_reader_of_the_documents_reads_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-I", "-W", "error", str(READER), str(tmp_path / "file"), str(tmp_path / "out")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "process_id: 'job'" in ran.stdout
    assert (tmp_path / "out/state%2F0").read_bytes() == DATA["state/0"]
    assert {path.read_bytes() for path in (tmp_path / "out").iterdir()} == set(DATA.values())


@pytest.mark.parametrize("place", [9, 40, 1000, MIB, len(LARGE) - 60, len(LARGE) - 40, len(LARGE) - 1])
def test_the_reader_of_the_documents_sees_damage(tmp_path: Path, place: int) -> None:
    raw = bytearray(LARGE)
    raw[place] ^= 1
    (tmp_path / "file").write_bytes(raw)
    ran = subprocess.run(
        [sys.executable, "-I", str(READER), str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr


def test_the_reader_of_the_documents_needs_two_libraries_alone() -> None:
    words = [line.split()[1] for line in READER.read_text().splitlines() if line.startswith(("import ", "from "))]
    assert {word.partition(".")[0] for word in words} - sys.stdlib_module_names == {"msgpack", "zstandard"}
