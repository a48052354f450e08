"""What is written down about a backup: its manifest, and the note beside each pack. Pure: bytes in, bytes out.

Both are JSON in one canonical form (keys sorted, no blanks, ASCII) with the SHA-256 of the rest in `checksum`, so that
they can be read without ckptd, and damage shows. Names become file names on the way back: each is checked for its form.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from ckptclient.errors import Damaged, VersionMismatch

FORMAT: Final = 1

_NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
_PACK: Final = re.compile(r"[0-9a-f]{32}\.pack")


@dataclass(frozen=True, slots=True)
class PackCopy:
    """A pack, or its beginning: how many bytes, and their SHA-256. `damaged` are offsets of records that were bad then.

    Those were bad in the store already: the copy is what lay there.
    """

    name: str
    bytes: int
    sha256: str
    damaged: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """One complete backup.

    `at` is microseconds since 1970 in UTC; `store` names the store through all its lineages, `lineage` the one that
    it had. `catalog_bytes` and `catalog_sha256` are the catalog's copy.
    """

    name: str
    at: int
    store: str
    lineage: str
    store_path: str
    writer: str
    checkpoints: int
    catalog_bytes: int
    catalog_sha256: str
    packs: tuple[PackCopy, ...]
    checksum: str = ""

    @property
    def size_bytes(self) -> int:
        """What a restore brings back."""
        return self.catalog_bytes + sum(pack.bytes for pack in self.packs)

    @property
    def damaged(self) -> Sequence[tuple[str, int]]:
        """(pack, offset) of each record that was bad in the store when it was copied."""
        return [(pack.name, offset) for pack in self.packs for offset in pack.damaged]


def store_name(chunk_key: bytes) -> str:
    """What a store is called in its backups: the same after each restore, and says nothing of the key."""
    return sha256(b"ckptd backup of\0" + chunk_key).hexdigest()[:32]


def backup_name(at: int, random: bytes) -> str:
    """A name that sorts by time; the random end keeps two of one second apart."""
    moment = datetime.fromtimestamp(at / 1_000_000, UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{random[:4].hex()}"


def is_backup_name(name: str) -> bool:
    """Whether it can be the name of a backup."""
    return _NAME.fullmatch(name) is not None


def is_pack_name(name: str) -> bool:
    """Whether it can be the name of a pack's file."""
    return _PACK.fullmatch(name) is not None


def pack_manifest(manifest: Manifest) -> bytes:
    """A manifest's file; its own `checksum` is made anew."""
    return _sealed(
        {
            "format": FORMAT,
            "name": manifest.name,
            "at": manifest.at,
            "store": manifest.store,
            "lineage": manifest.lineage,
            "store_path": manifest.store_path,
            "writer": manifest.writer,
            "checkpoints": manifest.checkpoints,
            "catalog": {"bytes": manifest.catalog_bytes, "sha256": manifest.catalog_sha256},
            "packs": [_note_of(pack) for pack in manifest.packs],
        }
    )


def parse_manifest(raw: bytes) -> Manifest:
    """A manifest from its file; Damaged unless it is exactly that, VersionMismatch for a later format."""
    found = _opened(raw, "backup's manifest")
    try:
        catalog = found["catalog"]
        manifest = Manifest(
            _text(found["name"], _NAME), _count(found["at"]), _text(found["store"]), _text(found["lineage"]),
            _text(found["store_path"]), _text(found["writer"]), _count(found["checkpoints"]), _count(catalog["bytes"]),
            _text(catalog["sha256"]), tuple(_copy_of(one) for one in found["packs"]), found["checksum"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"the backup's manifest is garbled: {error}") from error
    return manifest


def pack_note(copy: PackCopy) -> bytes:
    """The note that lies beside a pack once so much of it was verified."""
    return _sealed({"format": FORMAT, **_note_of(copy)})


def parse_note(raw: bytes) -> PackCopy:
    """A note from its file; Damaged unless it is exactly that."""
    found = _opened(raw, "note of a pack")
    try:
        return _copy_of(found)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"the note of a pack is garbled: {error}") from error


def _note_of(copy: PackCopy) -> dict[str, object]:
    return {"name": copy.name, "bytes": copy.bytes, "sha256": copy.sha256, "damaged": list(copy.damaged)}


def _copy_of(found: Any) -> PackCopy:
    damaged = tuple(_count(offset) for offset in found["damaged"])
    return PackCopy(_text(found["name"], _PACK), _count(found["bytes"]), _text(found["sha256"]), damaged)


def _sealed(document: dict[str, object]) -> bytes:
    return _canonical({**document, "checksum": sha256(_canonical(document)).hexdigest()}) + b"\n"


def _opened(raw: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
        stated = found.pop("checksum")
        version = found["format"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"the {what} is no JSON of ours") from error
    if version != FORMAT:
        raise VersionMismatch(
            f"the {what} has format {version}, and this release reads {FORMAT}",
            hint="use the release that wrote it, or a later one",
        )
    if stated != sha256(_canonical(found)).hexdigest():
        raise Damaged(f"the {what} doesn't match its checksum")
    return {**found, "checksum": stated}


def _canonical(document: dict[str, object]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def _text(value: object, form: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or (form is not None and form.fullmatch(value) is None):
        raise ValueError(f"{value!r} can't stand there")
    return value


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value
