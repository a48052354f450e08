"""A store with something of every kind in it, and ways to damage it."""

from collections.abc import Callable
from pathlib import Path

import msgpack

from ckptclient.wire import params as p
from ckptd.compose import open_offline
from ckptd.store.offline import Offline
from ckptd.store.records import Found, RecordKind, scan
from ckptd.store.verify import FROM_START, Cursor, Finding, PackCheck, Verifier, hit
from tests.ckptd.service.node import Node
from tests.ckptd.store.saving import noise_source

DOCUMENT = msgpack.packb({"kind": "document", "encoding": "msgpack"})
ARRAY = msgpack.packb({"kind": "array"})


async def filled(path: Path) -> None:
    """Process `docs` has versions of a document (deltas), `array` two arrays that share most, `tiny` lies inline."""
    node = await Node(path, {"store.delta_depth": "4"}).start()
    noise = noise_source()
    first = noise(200_000)
    for process, form, versions in (
        ("docs", DOCUMENT, [first, first[:90_000] + noise(50) + first[90_000:], first + noise(2000)]),
        ("array", ARRAY, [noise(3 << 20), noise(1 << 20)]),
        ("tiny", DOCUMENT, [b"small", b"smaller"]),
    ):
        worker = node.worker()
        token = (await worker.register(process))["token"]
        for data in versions:
            parts = (p.PartData(name="state", form=form, data=data),)
            request = p.Save(request=worker.next(), token=token, parts=parts, type="custom")
            await node.inside.services.saving.save(worker.caller, request)
    await node.stop()


def pack_of(store: Path) -> Path:
    (pack,) = (store / "packs").iterdir()
    return pack


def records_of(pack: Path, kind: RecordKind = RecordKind.CHUNK) -> list[Found]:
    return [one for one in scan(pack.read_bytes()) if isinstance(one, Found) and one.record.kind is kind]


def change(path: Path, how: Callable[[bytearray], object]) -> None:
    data = bytearray(path.read_bytes())
    how(data)
    path.write_bytes(data)


def verified(store: Offline, *, deep: bool = True) -> list[Finding]:
    """Everything that a look at all of it finds."""
    verifier = Verifier(
        lambda: store.catalog.quick_check(thorough=deep), PackCheck(store.chunks, store.chains, decode=deep)
    )
    found: list[Finding] = []
    cursor: Cursor | None = FROM_START
    while cursor is not None:
        step = verifier.step(store.reader, cursor)
        found += step.findings
        cursor = step.next
    return found


def look(path: Path, *, deep: bool = True) -> tuple[list[Finding], set[str]]:
    """What is found in the store at `path`, and the ids of the checkpoints that it hits."""
    with open_offline(path) as store:
        found = verified(store, deep=deep)
        keys = {key for some in hit(store.reader, found).checkpoints for key in some}
        rows = [store.reader.checkpoint(key) for key in keys]
    return found, {row.checkpoint_id for row in rows if row is not None}
