"""service.expiring: rules, the clock that is believed, settings that have changed, and what a dry run tells."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from ckptclient.errors import BadRequest, Denied
from ckptclient.payload import encode_value
from ckptclient.wire import params as p
from ckptd.core.ids import CheckpointKey
from ckptd.core.retention import Policy, Standing, expired
from ckptd.service.caller import Role
from ckptd.service.expiring import Expiring, standing
from ckptd.settings.policies import parse_policy
from ckptd.store.catalog.interface import Filter
from tests.ckptd.service.node import Node, Worker

HOUR, DAY = 3600.0, 86_400.0


def configure(node: Node, *texts: str, **more: Any) -> None:
    policies = tuple(parse_policy(text) for text in texts)
    node.config = replace(node.config, retention=replace(node.config.retention, policies=policies, **more))


async def clean(node: Node, worker: Worker | None = None, **asked: bool) -> Mapping[str, Any]:
    worker = worker or node.worker(1, role=Role.OPERATOR)
    return await node.inside.services.maintenance.cleanup(worker.caller, p.Cleanup(request=worker.next(), **asked))


async def seqs(worker: Worker, **wanted: Any) -> list[int]:
    return [one["seq"] for one in await worker.list(**wanted)]


async def kinds(node: Node) -> list[str]:
    worker = node.worker(1, role=Role.OPERATOR)
    page: Any = await node.inside.services.events.read(worker.caller, p.ReadEvents())
    return [event[2] for event in page["events"]]


# Rules


async def test_what_no_rule_keeps_is_superseded_and_what_one_keeps_outlives_its_time(node: Node) -> None:
    worker = node.worker()
    wishes = p.Policy(keep_last=2, keep_every=4, best_metric="loss", ttl_seconds=HOUR)
    token = (await worker.register(policy=wishes))["token"]
    for loss in (0.9, 0.1, 0.5, 0.4, float("nan"), 0.6, 0.7, 0.8, 0.8, 0.8):
        await worker.save(token, metadata=encode_value({"loss": loss}))
    told = await clean(node, dry_run=True)
    assert (told["expired"], {one[2] for one in told["endings"]}) == (5, {"superseded"})
    assert await seqs(worker) == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert (await clean(node))["expired"] == 5
    assert await seqs(worker) == [10, 9, 8, 4, 2]
    node.clock.tick(48 * HOUR)
    assert (await clean(node))["expired"] == 0
    assert await seqs(worker) == [10, 9, 8, 4, 2]
    await worker.end(token)
    node.clock.tick(6 * DAY)
    assert (await clean(node))["expired"] == 0  # as long as a completed process's last one
    node.clock.tick(2 * DAY)
    assert (await clean(node))["expired"] == 5


async def test_pins_and_dependents_keep_what_is_superseded(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register(policy=p.Policy(keep_last=1)))["token"]
    names = [(await worker.save(token))["checkpoint_id"] for _ in range(4)]
    await worker.save(None, process_id="needs", depends=(names[0],), ttl_seconds=HOUR)
    await node.inside.services.browsing.pin(
        worker.caller, p.MutateCheckpoint(request=worker.next(), checkpoint_id=names[1])
    )
    assert (await clean(node))["expired"] == 1
    assert await seqs(worker, process_id="p") == [4, 2, 1]
    node.clock.tick(2 * HOUR)
    # The dependent's time is over, and what only it needed goes in the same run, as a dry run tells.
    assert (await clean(node, dry_run=True))["expired"] == 2
    assert (await clean(node))["expired"] == 2
    assert await seqs(worker) == [4, 2]


async def test_the_configuration_s_policies_are_for_who_asks_for_nothing(node: Node) -> None:
    worker = node.worker()
    await clean(node)
    configure(node, "backup*: last=2 ttl=30d", confirm_share=0.0)
    for name in ("backup-a", "other"):
        for _ in range(3):
            await worker.save(None, process_id=name)
    assert (await worker.list(process_id="backup-a"))[0]["expires_at"] == node.clock.now() + round(30 * DAY * 1e6)
    assert (await clean(node))["expired"] == 1
    assert (await seqs(worker, process_id="backup-a"), await seqs(worker, process_id="other")) == ([3, 2], [3, 2, 1])
    # Nobody ever held it, so nobody gives it up: backups stay.
    node.clock.tick(100 * DAY)
    assert (await clean(node))["expired"] == 3
    assert await seqs(worker) == [3, 2]


async def test_a_worker_is_told_of_its_own(node: Node) -> None:
    for uid in (1000, 1001):
        worker = node.worker(uid, uid=uid)
        await worker.save(None, process_id="p", ttl_seconds=HOUR)
    node.clock.tick(2 * HOUR)
    told = await clean(node, node.worker(1000), dry_run=True)
    assert (told["expired"], told["freed_bytes"] > 0) == (1, True)
    assert (await clean(node, dry_run=True))["expired"] == 2


async def test_rules_that_say_nothing_are_refused(node: Node) -> None:
    with pytest.raises(BadRequest, match="metric"):
        await node.worker().register(policy=p.Policy(best_highest=True))


# The clock


async def test_a_clock_that_runs_ahead_halts_expiry_until_it_is_confirmed(node: Node) -> None:
    worker = node.worker()
    await worker.save(None, process_id="p", ttl_seconds=HOUR)
    await clean(node)
    node.clock.jump(30 * DAY)
    saved = await worker.save(None, process_id="q")  # saves go on
    told = await clean(node)
    assert (told["expired"], told["purged"], "--confirm-clock" in told["waits"][0]) == (0, 0, True)
    assert (await clean(node, dry_run=True))["waits"] == told["waits"]
    await clean(node)
    assert (await kinds(node)).count("expiry_halted") == 1
    await node.restart()
    assert (await clean(node))["expired"] == 0
    with pytest.raises(Denied):
        await clean(node, node.worker(), confirm_clock=True)
    with pytest.raises(BadRequest):
        await clean(node, dry_run=True, confirm_clock=True)
    told = await clean(node, confirm_clock=True)
    assert (told["expired"], told["waits"]) == (1, [])
    assert saved["expires_at"] > node.clock.now()
    assert (await kinds(node))[-1] == "expiry_resumed"


async def test_a_clock_that_is_put_right_lets_expiry_go_on(node: Node) -> None:
    worker = node.worker()
    await worker.save(None, process_id="p", ttl_seconds=HOUR)
    await clean(node)
    node.clock.jump(30 * DAY)
    await clean(node)
    node.clock.jump(-30 * DAY)
    node.clock.tick(2 * HOUR)
    assert (await clean(node))["expired"] == 1
    assert [one for one in await kinds(node) if one.startswith("expiry")] == ["expiry_halted", "expiry_resumed"]


async def test_expiry_never_goes_back_and_ends_nothing_new(node: Node) -> None:
    worker = node.worker()
    await worker.save(None, process_id="old", ttl_seconds=3 * HOUR)
    await clean(node)
    node.clock.jump(20 * HOUR)  # less than a day: believed
    assert (await clean(node))["expired"] == 1
    node.clock.jump(-20 * HOUR)
    await node.restart()
    await worker.save(None, process_id="new", ttl_seconds=HOUR)
    assert (await clean(node))["expired"] == 0
    node.clock.tick(HOUR + 1)
    assert (await clean(node))["expired"] == 0  # its hour counts from where expiry's clock stood
    node.clock.tick(20 * HOUR)
    assert (await clean(node))["expired"] == 1


async def test_days_without_power_are_asked_about_and_a_night_is_not(node: Node) -> None:
    worker = node.worker()
    await worker.save(None, process_id="p", ttl_seconds=HOUR)
    await clean(node)
    configure(node, clock_jump_seconds=DAY)
    node.clock.reboot(12 * HOUR)
    assert (await clean(node))["expired"] == 1
    await worker.save(None, process_id="q", ttl_seconds=HOUR)
    node.clock.reboot(3 * DAY)
    assert (await clean(node))["waits"]
    configure(node, clock_jump_seconds=0.0)
    assert (await clean(node))["expired"] == 1


# Changed settings


async def test_changed_policies_that_would_end_much_wait(node: Node) -> None:
    worker = node.worker()
    for _ in range(10):
        await worker.save(None, process_id="p", ttl_seconds=HOUR)
    await clean(node)
    configure(node, "p: last=1")
    told = await clean(node)
    assert (told["expired"], "--confirm-policy" in told["waits"][0]) == (0, True)
    assert "9 checkpoints, 90 %" in told["waits"][0]
    assert (await clean(node, dry_run=True))["expired"] == 9
    await clean(node)
    assert (await kinds(node)).count("expiry_halted") == 1
    with pytest.raises(Denied):
        await clean(node, worker, confirm_policy=True)
    assert (await clean(node, confirm_policy=True))["expired"] == 9
    assert await seqs(worker) == [10]
    await worker.save(None, process_id="p")
    assert (await clean(node))["expired"] == 1  # what is known to be meant may end much


async def test_policies_that_are_put_back_or_end_little_need_no_word(node: Node) -> None:
    worker = node.worker()
    for _ in range(10):
        await worker.save(None, process_id="p")
    await clean(node)
    configure(node, "p: last=1")
    assert (await clean(node))["waits"]
    configure(node)
    assert (await clean(node))["waits"] == []
    configure(node, "p: last=9")
    assert ((await clean(node))["expired"], await seqs(worker)) == (1, list(range(10, 1, -1)))


async def test_patience_that_was_shortened_is_a_changed_policy(node: Node) -> None:
    worker = node.worker()
    token = (await worker.register())["token"]
    await worker.save(token, ttl_seconds=HOUR)
    await worker.end(token, "interrupted")
    await clean(node)
    node.clock.tick(2 * DAY)
    configure(node, abandon_after_seconds=DAY)
    assert (await clean(node))["waits"]
    assert (await clean(node, confirm_policy=True))["expired"] == 1


# The trash


async def test_the_trash_is_emptied_sooner_when_space_is_short(tmp_path: Path) -> None:
    node = await Node(tmp_path / "store", {"store.limit": "10 MB"}).start()
    worker = node.worker()
    await worker.save(None, process_id="p", ttl_seconds=HOUR)
    node.clock.tick(2 * HOUR)
    await clean(node)
    node.clock.tick(2 * HOUR)
    assert (await clean(node))["purged"] == 0
    node.inside.space.used_bytes += 9_900_000  # a hundredth of the room is left: 2.4 h of 24
    node.clock.tick(HOUR)
    assert (await node.inside.expiring.run()).purged == 1
    await node.stop()


# The same as the pure function


@dataclass(frozen=True)
class Made:
    """A checkpoint to make: hours that it lives, its metric, whether it is pinned, how far back what it needs lies."""

    hours: int
    metric: float | None
    has_state: bool
    pinned: bool
    needs: int | None


MADE = st.builds(
    Made,
    st.integers(1, 6),
    st.none() | st.sampled_from([0.1, 0.2, float("nan")]),
    st.booleans(),
    st.integers(0, 5).map(lambda n: n == 0),
    st.none() | st.integers(1, 3),
)
WISHES = st.builds(
    p.Policy,
    keep_last=st.none() | st.integers(1, 2),
    keep_every=st.none() | st.integers(2, 3),
    best_metric=st.none() | st.just("m"),
)


@given(
    lives=st.lists(st.tuples(WISHES, st.lists(MADE, max_size=6), st.sampled_from(["running", "paused", "completed"])), max_size=3),
    hours=st.integers(0, 8),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_the_catalog_ends_what_retention_says(lives: list[tuple[p.Policy, list[Made], str]], hours: int) -> None:
    async def compare(path: Path) -> None:
        node = await Node(path / "store").start()
        worker = node.worker()
        for number, (wishes, made, end) in enumerate(lives):
            token = (await worker.register(f"p{number}", policy=wishes))["token"]
            await save_all(node, worker, token, made)
            if end != "running":
                await worker.end(token, end)
        node.clock.tick(hours * HOUR)
        wanted = sorted(await should_end(node.inside.expiring, node))
        told = await node.inside.expiring.plan()
        assert sorted(one.row.key for one in told) == wanted
        ended = await node.inside.expiring.run()
        trash = await node.inside.context.backend.read(lambda reader: [row.key for row in all_rows(reader, trash=True)])
        assert (ended.expired, sorted(trash)) == (len(wanted), wanted)
        assert (await node.inside.expiring.run()).expired == 0
        await node.stop()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(compare(Path(directory)))


async def save_all(node: Node, worker: Worker, token: bytes, made: Sequence[Made]) -> None:
    names: list[str] = []
    for one in made:
        depends = (names[-one.needs],) if one.needs is not None and one.needs <= len(names) else ()
        metadata = encode_value({"m": one.metric}) if one.metric is not None else None
        saved = await worker.save(
            token, ttl_seconds=one.hours * HOUR, has_state=one.has_state, depends=depends, metadata=metadata
        )
        names.append(saved["checkpoint_id"])
        if one.pinned:
            request = p.MutateCheckpoint(request=worker.next(), checkpoint_id=names[-1])
            await node.inside.services.browsing.pin(worker.caller, request)


def all_rows(reader: Any, **wanted: Any) -> Sequence[Any]:
    return list(reader.checkpoints(Filter(limit=1000, **wanted)))


async def should_end(expiring: Expiring, node: Node) -> Sequence[CheckpointKey]:
    """What the pure function ends, on all that there is."""
    now, backend = node.clock.now(), node.inside.context.backend
    lives = await backend.read(lambda reader: reader.lives(None, 100))
    standings: list[Standing] = []
    policies: dict[Any, Policy] = {}
    for life in lives:
        policy = policies[life.key] = expiring.policy(life, now)
        protecting = life.is_current and life.state.unfinished
        found = await backend.read(lambda reader, key=life.key: reader.survey(key, None, 100))  # type: ignore[misc]
        standings += [replace(standing(one, life.key, policy), protecting=protecting) for one in found]
    keys = [one.key for one in standings]
    needs = await backend.read(lambda reader: reader.dependencies(keys))
    return expired(standings, needs, now, policies)
