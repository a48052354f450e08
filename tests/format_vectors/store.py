"""Makes the store of the present format that later releases must go on reading: `python -m tests.format_vectors.store`.

Run once for each format version, at its release, and again while the format isn't released yet and has changed. The store
has something of every kind in it; `store_vN.json` beside it says what must be read from it.
"""

import asyncio
import hashlib
import io
import json
import struct
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import msgpack
from blake3 import blake3

from ckptclient.wire import params as p
from ckptd.compose import open_offline
from ckptd.core.change import Place
from ckptd.service.restoring import opened
from ckptd.store.catalog.interface import Filter
from ckptd.store.catalog.sqlite.schema import FORMAT
from tests.ckptd.service.node import Node, Worker

HERE = Path(__file__).parent
KEPT = ("catalog.db", "chunk-key", "packs")
DOCUMENT = msgpack.packb({"kind": "document", "encoding": "msgpack"})
FLOATS = msgpack.packb({"kind": "array", "dtype": "<f4", "shape": [16384]})
FILE = msgpack.packb({"kind": "file"})


def noise(name: str, size_bytes: int) -> bytes:
    return blake3(name.encode()).digest(size_bytes)


def text(version: int) -> bytes:
    rows = [{"id": n, "seen": (n * 7919 + version * (n % 50 == 0)) % 9973} for n in range(900)]
    return bytes(msgpack.packb({"rows": rows, "version": version}))


def floats(version: int) -> bytes:
    """Numbers between 1 and 2, of which each version changes the last bits."""
    drawn = struct.unpack("<16384I", noise("weights", 4 * 16384))
    bits = (0x3F800000 | (word & 0x7FFFFF) ^ (version * n % 5) for n, word in enumerate(drawn))
    return struct.pack("<16384I", *bits)


async def _save(
    worker: Worker, node: Node, token: bytes | None, parts: dict[str, tuple[bytes, bytes]], **more: Any
) -> str:
    data = tuple(p.PartData(name=name, form=form, data=data) for name, (form, data) in parts.items())
    request = p.Save(request=worker.next(), token=token, parts=data, **more)
    return str((await node.inside.services.saving.save(worker.caller, request))["checkpoint_id"])


async def fill(path: Path) -> None:
    """Processes with items, documents, arrays and files; deltas, an alias, tags, dependencies, a pin, trash, a rewind."""
    node = await Node(path, {"store.array_delta_depth": "4"}).start()
    worker = node.worker()
    items = (await worker.register("items", task_id="etl"))["token"]
    await worker.record(items, 0, 1, 2)
    await worker.record(items, 3, kind=1)
    await _save(worker, node, items, {"state": (DOCUMENT, b"small")}, tags=("first", "small"))
    await worker.end(items, "paused")
    train = (await worker.register("train"))["token"]
    for version in range(4):
        node.clock.tick(60)
        parts = {"text": (DOCUMENT, text(version)), "weights": (FLOATS, floats(version))}
        await _save(
            worker, node, train, parts, metadata=msgpack.packb({"loss": 1.0 / (version + 1)}), type="model_state"
        )
    await worker.dies(9)
    other = node.worker(101, uid=1001)
    best = await _save(
        other, node, None, {"file": (FILE, noise("file", 90_000))}, process_id="files", alias="best", description="d"
    )
    await _save(other, node, None, {"file": (FILE, noise("file", 90_000) + b"!")}, process_id="files", depends=(best,))
    browsing = node.inside.services.browsing
    await browsing.pin(worker.caller, p.MutateCheckpoint(request=worker.next(), checkpoint_id="train_model_state_2"))
    await browsing.delete(worker.caller, p.MutateCheckpoint(request=worker.next(), checkpoint_id="train_model_state_1"))
    await node.stop()


def content(path: Path) -> dict[str, Any]:
    """Everything that a reader of the store must find, in words."""
    with open_offline(path) as store:
        reader = store.reader
        rows = sorted((*reader.checkpoints(Filter()), *reader.checkpoints(Filter(trash=True))), key=lambda row: row.key)
        tags = reader.tags([row.key for row in rows])
        found = {}
        for row in rows:
            its = opened(row, reader.content(row.key))
            found[row.checkpoint_id] = {
                "process": row.process_id,
                "uid": row.uid,
                "type": row.type.word,
                "place": Place(row.place).name,
                "pinned": row.pinned,
                "created_at": row.created_at,
                "checksum": row.checksum.hex(),
                "tags": list(tags.get(row.key, ())),
                "metadata": row.metadata.hex(),
                "depends": list(reader.dependencies([row.key]).get(row.key, ())),
                "parts": {
                    part.name: hashlib.sha256(
                        its.inline_part(index) if its.inline is not None else b"".join(store.parts.pieces(reader, part))
                    ).hexdigest()
                    for index, part in enumerate(its.parts)
                },
            }
        processes = {}
        for process in reader.processes(None, (), None, None, 99):
            records = [[row.ordinal, row.kind, row.item.decode()] for row in reader.journal(process.key, -1, 99, False)]
            processes[process.process_id] = {"state": process.state.word, "epoch": process.epoch, "journal": records}
    return {"checkpoints": found, "processes": processes}


def extract(version: int, into: Path) -> None:
    """The store of a format version, as a directory."""
    with tarfile.open(HERE / f"store_v{version}.tar.xz") as tar:
        # Python 3.11.0 to 3.11.3 know no filters, and later ones want one.
        if hasattr(tarfile, "data_filter"):
            tar.extraction_filter = tarfile.data_filter
        tar.extractall(into)


def main() -> None:
    """Write the store and what is in it."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "store"
        asyncio.run(fill(path))
        said = content(path)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:xz") as tar:
            for name in KEPT:
                tar.add(path / name, name)
    (HERE / f"store_v{FORMAT}.tar.xz").write_bytes(packed.getvalue())
    (HERE / f"store_v{FORMAT}.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
