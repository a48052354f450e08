"""The scrub reads everything within its period, gives way to who saves, and names, quarantines and forgets damage."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest

from ckptclient.errors import BadRequest, Damaged
from ckptclient.wire import params as p
from ckptd.service.caller import Role
from ckptd.service.scrubbing import IDLE_SECONDS, Scrubbing
from ckptd.service.users import user_name
from tests.ckptd.service.node import Node, Worker
from tests.ckptd.store.saving import noise_source
from tests.ckptd.store.verify.planting import change, pack_of, records_of

DAY = 86_400.0
DOCUMENT = msgpack.packb({"kind": "document"})
ARRAY = msgpack.packb({"kind": "array"})


class Scrubbed:
    """A node with a worker, and turns of its scrub."""

    def __init__(self, node: Node, worker: Worker, token: bytes) -> None:
        self.node, self.worker, self.token = node, worker, token
        self.operator = node.worker(7, uid=0, role=Role.OPERATOR)

    @property
    def scrubbing(self) -> Scrubbing:
        return self.node.inside.services.scrubbing

    async def save(self, data: bytes, form: bytes = ARRAY) -> str:
        parts = (p.PartData(name="state", form=form, data=data),)
        request = p.Save(request=self.worker.next(), token=self.token, parts=parts)
        return str((await self.node.inside.services.saving.save(self.worker.caller, request))["checkpoint_id"])

    async def through(self) -> list[float]:
        """Turns until nothing is due; what each says to wait."""
        waits = [await self.scrubbing.turn()]
        while waits[-1] != IDLE_SECONDS:
            self.node.clock.tick(waits[-1])
            waits.append(await self.scrubbing.turn())
        return waits[:-1]

    async def damage(self) -> Mapping[str, Any]:
        return await self.scrubbing.damage(self.operator.caller, p.Nothing())

    async def events(self) -> list[Any]:
        found: Any = await self.node.inside.services.events.read(self.operator.caller, p.ReadEvents())
        return [(kind, process_id, data) for _, _, kind, process_id, _, data in found["events"] if kind == "damaged"]

    async def restart(self) -> None:
        await self.node.restart()
        self.token = (await self.worker.register("p"))["token"]


@pytest.fixture
async def scrubbed(tmp_path: Path) -> Any:
    node = await Node(tmp_path / "store").start()
    worker = node.worker()
    yield Scrubbed(node, worker, (await worker.register("p"))["token"])
    await node.stop()


def spoil(scrubbed: Scrubbed, at: int = 0) -> bytearray:
    """Flip a byte in the chunk number `at`; what lay in the pack before."""
    pack = pack_of(scrubbed.node.path)
    before = bytearray(pack.read_bytes())
    place = records_of(pack)[at].offset + 150

    def flip(data: bytearray) -> None:
        data[place] ^= 1

    change(pack, flip)
    return before


async def test_everything_is_read_at_half_of_the_period_and_then_again(scrubbed: Scrubbed) -> None:
    await scrubbed.save(noise_source()(9 << 20))
    await scrubbed.through()
    assert (await scrubbed.damage())["listed_at"] is not None, "the lists are looked at first"
    scrubbed.node.clock.tick(14 * DAY)
    assert await scrubbed.scrubbing.turn() == IDLE_SECONDS
    scrubbed.node.clock.tick(1.1 * DAY)
    waits = await scrubbed.through()
    read = scrubbed.node.inside.metrics.snapshot()["scrubbed_bytes_total"]
    assert read == pack_of(scrubbed.node.path).stat().st_size - 152
    assert sum(waits) >= 9 / 16, "16 MiB a second by default"
    assert await scrubbed.scrubbing.turn() == IDLE_SECONDS
    assert (await scrubbed.damage())["damage"] == []


async def test_it_gives_way_to_who_saves(scrubbed: Scrubbed) -> None:
    noise = noise_source()
    await scrubbed.save(noise(21 << 20))
    await scrubbed.through()
    scrubbed.node.clock.tick(16 * DAY)
    while await scrubbed.scrubbing.turn() < 0.2:
        pass  # the lists, and a first slice
    alone = await scrubbed.scrubbing.turn()
    await scrubbed.save(noise(100))
    assert await scrubbed.scrubbing.turn() == pytest.approx(4 * alone, rel=0.1)
    assert await scrubbed.scrubbing.turn() == pytest.approx(alone, rel=0.1)


async def test_damage_is_named_quarantined_told_once_and_repaired_by_the_same_bytes(scrubbed: Scrubbed) -> None:
    data = noise_source()(100_000)
    first = await scrubbed.save(data)
    spoil(scrubbed)
    await scrubbed.scrubbing.steer(scrubbed.operator.caller, p.Scrub(request=1, act="start"))
    for _ in range(2):
        await scrubbed.through()
        scrubbed.node.clock.tick(16 * DAY)
    found = await scrubbed.damage()
    pack = pack_of(scrubbed.node.path).name
    assert [one[:4] for one in found["damage"]] == [
        [pack, 152, 100_100, "its stored bytes aren't those that were written"]
    ]
    assert [one[1:] for one in found["checkpoints"]] == [["p", first]]
    why = f"{pack} at 152: its stored bytes aren't those that were written"
    assert await scrubbed.events() == [("damaged", "p", {"checkpoint_id": first, "why": why})]
    status = await scrubbed.node.inside.services.maintenance.status(scrubbed.worker.caller, p.Nothing())
    assert status["damaged"] == 1
    figures = await scrubbed.scrubbing.figures()
    assert (figures["damage"].value, [one.process_id for one in figures["damage"].about]) == (1.0, ["p"])
    get = p.GetCheckpoint(checkpoint_id=first)
    with pytest.raises(Damaged, match="part 'state' is damaged at byte 0"):
        await scrubbed.node.inside.services.browsing.get(scrubbed.worker.caller, get)

    await scrubbed.save(data)
    again: Any = await scrubbed.node.inside.services.browsing.get(scrubbed.worker.caller, get)
    assert again["parts"][0][3] == data, "the old checkpoint has its bytes again"
    assert (await scrubbed.damage())["damage"] == []
    assert (await scrubbed.scrubbing.figures())["damage"].value == 0.0


async def test_a_place_that_can_be_read_again_is_released(scrubbed: Scrubbed) -> None:
    await scrubbed.save(noise_source()(100_000))
    before = spoil(scrubbed)
    scrubbed.node.clock.tick(16 * DAY)
    await scrubbed.through()
    assert len((await scrubbed.damage())["damage"]) == 1
    pack_of(scrubbed.node.path).write_bytes(before)
    scrubbed.node.clock.tick(16 * DAY)
    await scrubbed.through()
    assert (await scrubbed.damage())["damage"] == []


async def test_a_pause_survives_a_restart(scrubbed: Scrubbed) -> None:
    steer = scrubbed.scrubbing.steer
    assert await steer(scrubbed.operator.caller, p.Scrub(request=1, act="pause")) == {"paused": True}
    await scrubbed.restart()
    scrubbed.node.clock.tick(40 * DAY)
    assert await scrubbed.scrubbing.turn() == IDLE_SECONDS
    await scrubbed.scrubbing.steer(scrubbed.operator.caller, p.Scrub(request=2, act="resume"))
    assert await scrubbed.scrubbing.turn() != IDLE_SECONDS


async def test_an_old_look_lowers_the_health(scrubbed: Scrubbed) -> None:
    await scrubbed.save(noise_source()(100_000))
    scrubbed.node.clock.tick(45 * DAY)
    assert (await scrubbed.scrubbing.figures())["scrub_age"].value == pytest.approx(1.5, abs=0.01)
    await scrubbed.through()
    assert (await scrubbed.scrubbing.figures())["scrub_age"].value < 0.01


async def test_what_is_wrong_in_the_catalog_is_told_and_low_references_are_raised(scrubbed: Scrubbed) -> None:
    first = await scrubbed.save(b"tiny")
    await scrubbed.save(noise_source()(100_000))
    tend = scrubbed.node.inside.context.backend.tend
    connection = "_connection"

    def spoil_rows(catalog: Any) -> None:
        getattr(catalog, connection).execute(
            "UPDATE checkpoint SET small=zeroblob(length(small)) WHERE small IS NOT NULL"
        )
        getattr(catalog, connection).execute("UPDATE chunk SET refs=0,state=1")

    await tend(spoil_rows)
    scrubbed.node.clock.tick(16 * DAY)
    await scrubbed.through()
    assert (await scrubbed.damage())["faults"] == 3
    told = await scrubbed.events()
    assert ("damaged", "p", {"checkpoint_id": first, "why": "the catalog: part state doesn't match its hash"}) in told
    scrubbed.node.clock.tick(16 * DAY)
    await scrubbed.through()
    assert (await scrubbed.damage())["faults"] == 1, "the references are right again"


async def test_verify_goes_through_everything_in_slices_and_tells_what_it_finds(scrubbed: Scrubbed) -> None:
    first = await scrubbed.save(noise_source()(9 << 20))
    spoil(scrubbed, at=5)
    stages, read, findings = list[str](), 0, list[Any]()
    place: tuple[int, ...] | None = ()
    step: Any = None
    while place is not None:
        step = await scrubbed.scrubbing.verify(scrubbed.operator.caller, p.Verify(deep=True, place=place))
        stages.append(step["stage"])
        read += step["read_bytes"]
        findings += step["findings"]
        place = tuple(step["next"]) if step["next"] is not None else None
    assert list(dict.fromkeys(stages)) == ["catalog", "references", "bodies", "checkpoints", "packs"]
    assert read + 152 == step["total_bytes"]
    assert [one["checkpoints"] for one in findings] == [[[user_name(1000), "p", first]]]
    assert len((await scrubbed.damage())["damage"]) == 1
    for place in ((1,), (9, 0, 0)):
        with pytest.raises(BadRequest, match="no place to go on from"):
            await scrubbed.scrubbing.verify(scrubbed.operator.caller, p.Verify(place=place))


async def test_what_a_reader_found_damaged_is_quarantined_before_the_next_save_shares_it(scrubbed: Scrubbed) -> None:
    data = noise_source()(100_000)
    first = await scrubbed.save(data)
    spoil(scrubbed)
    get = p.GetCheckpoint(checkpoint_id=first)
    with pytest.raises(Damaged):
        await scrubbed.node.inside.services.browsing.get(scrubbed.worker.caller, get)
    assert await scrubbed.scrubbing.turn() != IDLE_SECONDS
    assert len((await scrubbed.damage())["damage"]) == 1
    await scrubbed.save(data)
    again: Any = await scrubbed.node.inside.services.browsing.get(scrubbed.worker.caller, get)
    assert again["parts"][0][3] == data


async def test_a_repair_takes_good_copies_from_a_backup(scrubbed: Scrubbed, tmp_path: Path) -> None:
    noise = noise_source()
    first = noise(100_000)
    versions = [first, first + noise(3000), first + noise(6000)]
    ids = [await scrubbed.save(data, DOCUMENT) for data in versions]
    backup = tmp_path / "backup"
    shutil.copytree(scrubbed.node.path / "packs", backup / "packs")
    chunks = records_of(pack_of(scrubbed.node.path))
    for at in range(len(chunks)):
        spoil(scrubbed, at)
    scrubbed.node.clock.tick(16 * DAY)
    await scrubbed.through()
    assert len((await scrubbed.damage())["damage"]) == len(chunks)
    steer, operator = scrubbed.scrubbing.steer, scrubbed.operator
    for source in (None, "backup", str(tmp_path)):
        with pytest.raises(BadRequest, match="directory that has packs"):
            await steer(operator.caller, p.Scrub(request=operator.next(), act="repair", source=source))
    await steer(operator.caller, p.Scrub(request=operator.next(), act="repair", source=str(backup)))
    assert (await scrubbed.damage())["damage"] == []
    for checkpoint_id, data in zip(ids, versions, strict=True):
        get = p.GetCheckpoint(checkpoint_id=checkpoint_id)
        found: Any = await scrubbed.node.inside.services.browsing.get(scrubbed.worker.caller, get)
        assert found["parts"][0][3] == data
    assert (await scrubbed.node.inside.context.backend.read(lambda reader: reader.audit())).faults == ()


async def test_a_copy_that_is_damaged_too_repairs_nothing(scrubbed: Scrubbed, tmp_path: Path) -> None:
    await scrubbed.save(noise_source()(100_000))
    spoil(scrubbed)
    backup = tmp_path / "backup"
    shutil.copytree(scrubbed.node.path / "packs", backup / "packs")
    scrubbed.node.clock.tick(16 * DAY)
    await scrubbed.through()
    before = sorted(one.name for one in (scrubbed.node.path / "packs").iterdir())
    act = p.Scrub(request=1, act="repair", source=str(backup))
    await scrubbed.scrubbing.steer(scrubbed.operator.caller, act)
    assert len((await scrubbed.damage())["damage"]) == 1
    assert sorted(one.name for one in (scrubbed.node.path / "packs").iterdir()) == before
