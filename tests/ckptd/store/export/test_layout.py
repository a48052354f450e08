"""The bytes of an export file: the golden vector, the document's example, and what is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ckptclient.errors import BadRequest, CkptdError, Damaged, VersionMismatch
from ckptd.store.export import Description, ExportedPart
from ckptd.store.export.layout import FRAME_BYTES, frame_bytes, frames_count
from tests.ckptd.store.export.examples import DESCRIPTION, FORM, contents, part, written

ROOT = Path(__file__).parents[4]
VECTOR = json.loads((ROOT / "tests/format_vectors/export.json").read_text())
GOLDEN = bytes.fromhex("".join(step["hex"] for step in VECTOR["bytes"]))

GOLDEN_DESCRIPTION = Description(
    process_id="job",
    checkpoint_id="job_model_state_7",
    seq=7,
    type="model_state",
    created_at=1_750_000_000_000_000,
    epoch=3,
    user="anna",
    task_id="t",
    description="résumé",
    tags=("best",),
    depends=("job_model_state_6",),
    metadata=b"\x81\xa4loss\xcb?\xe0\0\0\0\0\0\0",
    progress=b"\xc0",
    schema_version=2,
    journal_position=41,
    checksum=b"\xcd" * 32,
    lineage=b"LINEAGE.LINEAGE.",
    exported_at=1_750_000_000_000_001,
    writer="ckptd",
)


def test_the_golden_vector_is_what_this_release_writes_and_reads() -> None:
    assert contents(GOLDEN) == {"a.txt": b"hello world", "empty": b""}
    assert written(part("a.txt", b"hello world"), part("empty", b""), description=GOLDEN_DESCRIPTION) == GOLDEN


def test_what_zstd_wrote_once_stays_readable() -> None:
    assert contents(bytes.fromhex(VECTOR["compressed"])) == {"zeros": bytes(5000)}


def test_the_document_shows_the_golden_vector() -> None:
    document = (ROOT / "docs/FORMAT.md").read_text()
    (example,) = re.findall(r"```export\n(.*?)```", document, re.DOTALL)
    shown = "".join("".join(line.partition("#")[0].split()) for line in example.splitlines())
    assert bytes.fromhex(shown) == GOLDEN


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", BadRequest),
        (b"SQLite format 3\0".ljust(600, b"\0"), BadRequest),
        (GOLDEN[:20], Damaged),
        (GOLDEN[:-1], Damaged),
        (GOLDEN + b"\0", Damaged),
        (GOLDEN[:8] + b"\0\2" + GOLDEN[10:], VersionMismatch),
    ],
    ids=["empty", "another file", "cut off in the header", "cut off at the end", "longer", "a later version"],
)
def test_a_file_that_is_no_export_is_refused(raw: bytes, expected: type[CkptdError]) -> None:
    with pytest.raises(expected):
        contents(raw)


@pytest.mark.parametrize("byte", range(10, len(GOLDEN)))
def test_a_changed_byte_never_goes_unseen(byte: int) -> None:
    raw = bytearray(GOLDEN)
    raw[byte] ^= 0x40
    with pytest.raises(Damaged):
        contents(bytes(raw))


@pytest.mark.parametrize(
    "wrong",
    [
        replace(DESCRIPTION, seq="7"),  # type: ignore[arg-type]
        replace(DESCRIPTION, has_state=1),  # type: ignore[arg-type]
        replace(DESCRIPTION, tags=("a", 1)),  # type: ignore[arg-type]
        replace(DESCRIPTION, metadata="text"),  # type: ignore[arg-type]
    ],
    ids=["a number in words", "1 for true", "a number for a tag", "text for bytes"],
)
def test_a_description_has_its_types(wrong: Description) -> None:
    with pytest.raises(Damaged, match="has a wrong"):
        contents(written(description=wrong))


@pytest.mark.parametrize(
    "parts",
    [
        [part("x" * 256, b"")],
        [part("a", b"", form=bytes(5000))],
        [part(str(number), b"") for number in range(4097)],
    ],
    ids=["a long name", "a long form", "too many parts"],
)
def test_a_checkpoint_that_no_daemon_has_is_refused(parts: list[tuple[ExportedPart, list[bytes]]]) -> None:
    with pytest.raises(BadRequest):
        written(*parts)


def test_two_parts_of_one_name_are_refused() -> None:
    with pytest.raises(Damaged, match="list of parts"):
        contents(written(part("a", b"1", FORM), part("a", b"2", FORM)))


@pytest.mark.parametrize(
    ("size_bytes", "count", "last"),
    [(1, 1, 1), (FRAME_BYTES, 1, FRAME_BYTES), (FRAME_BYTES + 1, 2, 1), (3 * FRAME_BYTES, 3, FRAME_BYTES)],
)
def test_frames_are_full_but_the_last(size_bytes: int, count: int, last: int) -> None:
    assert frames_count(size_bytes) == count
    assert frame_bytes(size_bytes, count - 1) == last


def test_nothing_has_no_frame() -> None:
    assert frames_count(0) == 0
