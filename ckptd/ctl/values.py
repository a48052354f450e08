"""What the parts of a checkpoint hold, as Python values: plain data, arrays and bytes, never a class of the application.

The document of a state draws in the buffers that lie beside it, so that it is one value; a buffer alone is its own.
Not for: how a value is written (`documents`, `arrays`), or bytes as they are (`payloads`).
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgpack

from ckptclient import results
from ckptclient.errors import BadRequest, Encoding, NotFound
from ckptclient.payload import DOCUMENT, Part, decode, decode_value
from ckptd.ctl import documents, shown

Fetch = Callable[[results.CheckpointContent, int], Iterable[bytes]]
"""Gives the plain bytes of one part in pieces."""

_BUFFERS: Final = f"{DOCUMENT}/"


def index_of(info: results.CheckpointContent, part: str) -> int:
    """Which of its parts has this name; NOT_FOUND names those that there are."""
    names = [one.name for one in info.parts]
    if part in names:
        return names.index(part)
    listed = ", ".join(names) or "none"
    raise NotFound(f"{info.checkpoint_id} has no part {part}", hint=f"its parts: {listed}", details={"what": "part"})


def form(part: results.PartInfo) -> documents.Document:
    """What its client said of a part."""
    found = documents.value(part.form)
    return found if isinstance(found, dict) else {}


def own(info: results.CheckpointContent) -> list[int]:
    """The parts that are values of their own: all but the buffers that a document draws in."""
    has_document = any(_is_document(part) for part in info.parts)
    return [n for n, part in enumerate(info.parts) if not (has_document and part.name.startswith(_BUFFERS))]


def is_file(part: results.PartInfo) -> bool:
    """Whether a part is bytes and nothing more is known of it."""
    return form(part).get("kind") not in ("document", "progress", "array", "bytes")


def size_bytes(info: results.CheckpointContent, index: int) -> int:
    """Plain bytes that a part's value takes, with what it draws in."""
    part = info.parts[index]
    if not _is_document(part):
        return part.size_bytes
    return part.size_bytes + sum(one.size_bytes for one in info.parts if one.name.startswith(_BUFFERS))


def value(info: results.CheckpointContent, index: int, fetch: Fetch) -> object:
    """What a part holds. ENCODING where that is a pickle, or no value at all; DAMAGED passes through."""
    part = info.parts[index]
    said = form(part)

    def load(name: str) -> Part:
        found = index_of(info, name)
        return Part(name, form(info.parts[found]), b"".join(fetch(info, found)))

    if _is_document(part):
        if said.get("encoding", "msgpack") == "pickle":
            raise Encoding(
                f"part {part.name} is a pickle, and ckptctl runs no code that a state names",
                hint="--format raw gives its bytes; the program that wrote it restores it with allow_pickle=True",
            )
        return decode({}, loader=load)
    if said.get("kind") in ("array", "bytes") and part.name.startswith(_BUFFERS):
        # As a document that is this buffer and nothing else: `docs/PAYLOAD.md`, a reference.
        alone = msgpack.packb([msgpack.ExtType(1, b"\x01"), 0])
        held = load(part.name)
        return decode({DOCUMENT: Part(DOCUMENT, {"kind": "document"}, alone)}, loader=lambda _: held)
    data = load(part.name).data
    return decode_value(data) if said.get("kind") == "progress" else data


def bounded(info: results.CheckpointContent, indexes: Iterable[int], bytes_max: int) -> None:
    """USAGE where these parts are more than somebody would read."""
    total = sum(size_bytes(info, index) for index in indexes)
    if total > bytes_max:
        raise BadRequest(
            f"{shown.size(total)} are too much for JSON, which ends at {shown.size(bytes_max)}",
            hint=f"ckptctl restore {info.process_id}@{info.seq} DIR writes files; --format npz is for arrays",
        )


def _is_document(part: results.PartInfo) -> bool:
    return part.name == DOCUMENT and form(part).get("kind") == "document"
