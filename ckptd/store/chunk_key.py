"""A copy of the key of chunk ids, beside the catalog: whoever has lost the catalog can still tell whose bytes are whose.

The key is in the catalog; without it the ids in packs could not be compared with what they are of, nor could a new catalog
share with them. Not for: keeping anything secret from who can read the store.
"""

from pathlib import Path
from typing import Final

from ckptd.store import durable

NAME: Final = "chunk-key"
KEY_BYTES: Final = 32


def keep(store: Path, key: bytes) -> None:
    """Have the copy say this key. Raises NoSpace, StoreFailed."""
    if read(store) != key:
        durable.publish(store / NAME, key.hex().encode() + b"\n")


def read(store: Path) -> bytes | None:
    """The key of the copy; None where there is none, or it isn't one."""
    try:
        key = bytes.fromhex((store / NAME).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None
