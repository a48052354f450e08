"""store.backup.layout: what is written comes back, and nothing else does."""

import json
from hashlib import sha256
from typing import Any

import pytest

from ckptclient.errors import Damaged, VersionMismatch
from ckptd.store.backup import layout
from ckptd.store.backup.layout import Manifest, PackCopy

PACK = PackCopy(f"{7:032x}.pack", 12_345, "ab" * 32, (152, 9000))
MANIFEST = Manifest(
    "20260102T030405Z-1a2b3c4d", 1_767_323_045_000_000, "cd" * 16, "ef" * 16, "/var/lib/ckptd", "ckptd 0.1.0", 3, 225_280,
    "12" * 32, (PACK,),
)  # fmt: skip


def sealed(**changes: object) -> bytes:
    """The manifest with something else in it, and a checksum that fits."""
    document: dict[str, Any] = {**json.loads(layout.pack_manifest(MANIFEST)), **changes}
    del document["checksum"]
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return json.dumps({**document, "checksum": sha256(canonical.encode()).hexdigest()}).encode()


def test_it_comes_back_with_its_checksum() -> None:
    found = layout.parse_manifest(layout.pack_manifest(MANIFEST))
    assert found.checksum
    assert layout.pack_manifest(found) == layout.pack_manifest(MANIFEST)
    assert (found.size_bytes, found.damaged) == (237_625, [(PACK.name, 152), (PACK.name, 9000)])
    assert layout.parse_note(layout.pack_note(PACK)) == PACK


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../../etc/passwd"},
        {"name": 3},
        {"at": -1},
        {"at": True},
        {"packs": [{"name": "../up.pack", "bytes": 1, "sha256": "", "damaged": []}]},
        {"packs": [{"name": PACK.name, "bytes": "1", "sha256": "", "damaged": []}]},
        {"packs": [{"name": PACK.name}]},
        {"packs": 7},
        {"catalog": None},
    ],
)
def test_what_cannot_stand_there_is_damage(changes: dict[str, object]) -> None:
    with pytest.raises(Damaged, match="garbled"):
        layout.parse_manifest(sealed(**changes))


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b"null", b"\xff", b'{"checksum":1}', layout.pack_manifest(MANIFEST)[:-9]]
)
def test_what_is_no_manifest_is_damage(raw: bytes) -> None:
    with pytest.raises(Damaged):
        layout.parse_manifest(raw)


def test_each_flipped_byte_is_seen() -> None:
    raw = layout.pack_manifest(MANIFEST)
    for at in range(len(raw) - 1):  # the line feed behind it says nothing
        with pytest.raises((Damaged, VersionMismatch)):
            layout.parse_manifest(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])


def test_a_later_format_is_said() -> None:
    with pytest.raises(VersionMismatch, match="format 2"):
        layout.parse_manifest(sealed(format=2))


def test_names_sort_by_time() -> None:
    names = [layout.backup_name(at, b"\xff\0\0\0") for at in (0, 1_000_000, 1_767_323_045_000_000)]
    assert names == sorted(names)
    assert all(map(layout.is_backup_name, names))
    assert names[2] == "20260102T030405Z-ff000000"
