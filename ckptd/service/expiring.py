"""What ends and when: superseded and over-aged checkpoints go to the trash, and the trash is emptied by age.

The decisions are `core.retention`'s; this asks the catalog in slices and has it move what goes. A dry run asks the same
questions. Nothing ends while the clock isn't believed, or while changed settings would end more than a share of the
store and nobody has confirmed that.
Not for: giving the space back (`maintenance`), nor for making room beyond what has ended (`evicting`).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import takewhile

from ckptd.core.change import Change, CheckpointRow, EventRow
from ckptd.core.ids import CheckpointKey, ProcessKey
from ckptd.core.process_table import State
from ckptd.core.retention import Policy, Standing, Survey, rules_hold, trash_seconds
from ckptd.observe import log
from ckptd.service import policies
from ckptd.service.context import Context
from ckptd.service.expiry_time import ExpiryTime
from ckptd.service.space import Space
from ckptd.settings.tree import Retention
from ckptd.store.catalog.interface import DUE_FROM_START, CatalogReader, Life, Surveyed

LOG = log.get(__name__)

SLICE_ROWS = 500
"""Rows of one slice: about ten milliseconds, so that nobody who saves notices."""

_CONFIRMED = "retention_confirmed"
"""Row of the store's table: the digest of the settings that are known to be meant."""

SUPERSEDED, ENDED = "superseded", "its time is over"


@dataclass(slots=True)
class Kept:
    """What rules keep, over all processes that have any, and what they supersede, process by process."""

    by_rule: dict[CheckpointKey, str] = field(default_factory=dict)
    """Those that rules keep beyond their time."""
    superseded: list[CheckpointKey] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ending:
    """One checkpoint that would go, and why."""

    row: CheckpointRow
    why: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run did, and what it waits for."""

    expired: int
    purged: int
    waits: tuple[str, ...]


class Expiring:
    """The first stages of a cleanup."""

    def __init__(self, context: Context, space: Space) -> None:
        self._context = context
        self._space = space
        self.time = ExpiryTime(context)
        self._waits_for_policy: str | None = None

    @property
    def waits(self) -> tuple[str, ...]:
        """What somebody has to confirm before anything expires, for people."""
        return tuple(one for one in (self.time.wait, self._waits_for_policy) if one is not None)

    async def run(self) -> Ended:
        """End what has to end by now."""
        now = await self._look()
        if now is None:
            return Ended(0, 0, self.waits)
        if self._waits_for_policy is not None:
            return Ended(0, await self._empty_trash(now), self.waits)
        kept, stayed = await self._kept(now), dict[CheckpointKey, int | None]()
        count = await self._condemn(kept.superseded, now, None, stayed)
        async for keys in self._due(now, kept.by_rule):
            count += await self._condemn(keys, now, now, stayed)
        return Ended(count, await self._empty_trash(now), ())

    async def _look(self) -> int | None:
        """The time to go by; None where the clock isn't believed. Says what expiry waits for."""
        await self.time.look()
        now = self.time.now
        if now is not None:
            await self._judge_settings(now)
        self._context.expiry_waits = self.waits
        return now

    # Rules

    async def _kept(self, now: int) -> Kept:
        found = Kept()
        async for life in self._lives():
            policy = self.policy(life, now)
            if policy.rules.any:
                await self._survey(life, policy, now, found)
        return found

    async def _lives(self) -> AsyncIterator[Life]:
        after: ProcessKey | None = None
        while True:
            here = after
            page = await self._context.backend.read(lambda reader, here=here: reader.lives(here, SLICE_ROWS))  # type: ignore[misc]
            for life in page:
                yield life
            if len(page) < SLICE_ROWS:
                return
            after = page[-1].key

    def policy(self, life: Life, now: int) -> Policy:
        """The rules of one incarnation, and whether they hold."""
        retention = self._context.config().retention
        rules = policies.rules_of(life.policy, retention, life.uid, life.process_id)
        patience = self._abandoned_after if life.abandon_after is None else life.abandon_after
        abandoned = life.state is not State.RUNNING and patience > 0 and life.left_at + patience <= now
        # Nobody holds a process that was never registered, and nobody abandons it either.
        abandoned = abandoned and life.state is not State.REGISTERED
        completed_at = life.left_at if life.state is State.COMPLETED else None
        if completed_at is not None:
            abandoned = False
        return Policy(rules, rules_hold(life.is_current, abandoned, completed_at, now, retention.completed_ttl_seconds))

    async def _survey(self, life: Life, policy: Policy, now: int, found: Kept) -> None:
        survey, seen = Survey(policy.rules), list[Surveyed]()
        async for one in self.surveyed(life.key):
            survey.see(standing(one, life.key, policy))
            seen.append(replace(one, metadata=b""))
        kept = survey.end()
        for one in seen:
            if one.key not in kept:
                found.superseded.append(one.key)
            elif policy.holds and one.expires_at is not None and one.expires_at <= now:
                found.by_rule[one.key] = kept[one.key]

    async def surveyed(self, process: ProcessKey) -> AsyncIterator[Surveyed]:
        """Live checkpoints of one incarnation, newest first."""
        before: int | None = None
        while True:
            here = before
            page = await self._context.backend.read(
                lambda reader, here=here: reader.survey(process, here, SLICE_ROWS)  # type: ignore[misc]
            )
            for one in page:
                yield one
            if len(page) < SLICE_ROWS:
                return
            before = page[-1].seq

    # Ending

    @property
    def _abandoned_after(self) -> int:
        return round(self._context.config().retention.abandon_after_seconds * 1_000_000)

    async def _due(self, now: int, kept: Mapping[CheckpointKey, str]) -> AsyncIterator[Sequence[CheckpointKey]]:
        cursor: tuple[int, int] | None = DUE_FROM_START
        while cursor is not None:
            here = cursor
            page = await self._context.backend.read(
                lambda reader, here=here: reader.due(now, here, SLICE_ROWS)  # type: ignore[misc]
            )
            yield [key for key in page.keys if key not in kept]
            cursor = page.cursor

    async def _condemn(
        self, keys: Sequence[CheckpointKey], now: int, ended_by: int | None, stayed: dict[CheckpointKey, int | None]
    ) -> int:
        """Have them moved, and again those of `stayed` that something needed which has gone since; how many went."""
        waiting, count = [(key, ended_by) for key in keys], 0
        while waiting:
            bound = waiting[0][1]
            piece = [key for key, _ in takewhile(lambda one, bound=bound: one[1] == bound, waiting[:SLICE_ROWS])]  # type: ignore[misc]
            del waiting[: len(piece)]
            moved = await self._context.backend.tend(
                lambda catalog, piece=piece, bound=bound: catalog.condemn(piece, now, self._abandoned_after, bound)  # type: ignore[misc]
            )
            count += len(moved)
            stayed.update(dict.fromkeys(set(piece).difference(moved), bound))
            if moved and stayed:
                needs = await self._context.backend.read(lambda reader, moved=moved: reader.dependencies(moved))  # type: ignore[misc]
                again = {key for some in needs.values() for key in some if key in stayed}
                waiting[:0] = sorted(((key, stayed.pop(key)) for key in again), key=lambda one: one[0], reverse=True)
        return count

    async def _empty_trash(self, now: int) -> int:
        space = self._space
        setting = self._context.config().retention.trash_seconds
        seconds = trash_seconds(setting, space.left_bytes, space.capacity_bytes)
        return await self.purge(now - round(seconds * 1_000_000))

    async def purge(self, before: int) -> int:
        """Drop what went to the trash up to a moment, oldest first; how many."""
        total, more = 0, True
        while more:
            count, more = await self._context.backend.tend(lambda catalog: catalog.empty_trash(before, SLICE_ROWS))
            total += count
        return total

    # What would go

    async def plan(self) -> Sequence[Ending]:
        """Each checkpoint that a run would end now, also where it waits for a confirmation of changed settings."""
        now = await self._look()
        return [] if now is None else await self._planned(now)

    async def _planned(self, now: int) -> Sequence[Ending]:
        kept, gone = await self._kept(now), dict[CheckpointKey, str]()
        stayed: set[CheckpointKey] = set()
        await self._would_go(kept.superseded, SUPERSEDED, now, gone, stayed)
        async for keys in self._due(now, kept.by_rule):
            await self._would_go(keys, ENDED, now, gone, stayed)
        rows: list[Ending] = []
        keys = list(gone)
        for begin in range(0, len(keys), SLICE_ROWS):
            piece = keys[begin : begin + SLICE_ROWS]
            found = await self._context.backend.read(
                lambda reader, piece=piece: [reader.checkpoint(key) for key in piece]  # type: ignore[misc]
            )
            rows += [Ending(row, gone[row.key]) for row in found if row is not None]
        return rows

    async def _would_go(
        self,
        keys: Sequence[CheckpointKey],
        why: str,
        now: int,
        gone: dict[CheckpointKey, str],
        stayed: set[CheckpointKey],
    ) -> None:
        waiting = [key for key in keys if key not in gone]
        while waiting:
            piece, waiting = waiting[:SLICE_ROWS], waiting[SLICE_ROWS:]

            def ask(
                reader: CatalogReader, piece: Sequence[CheckpointKey] = piece
            ) -> tuple[Sequence[CheckpointKey], Mapping[CheckpointKey, Sequence[CheckpointKey]]]:
                moved = reader.doomed(piece, now, self._abandoned_after, gone)
                return moved, reader.dependencies(moved)

            found, needs = await self._context.backend.read(ask)
            gone.update(dict.fromkeys(found, why))
            stayed.update(set(piece).difference(found))
            again = stayed.intersection(key for some in needs.values() for key in some)
            stayed -= again
            waiting[:0] = sorted(again, reverse=True)

    # Changed settings

    async def confirm_settings(self) -> None:
        """Somebody who may says that the settings are meant."""
        await self._accept(_digest(self._context.config().retention))

    async def _judge_settings(self, now: int) -> None:
        """Whether settings that are new to this store would end too much at once."""
        retention = self._context.config().retention
        digest = _digest(retention)
        known = await self._context.backend.read(lambda reader: reader.setting(_CONFIRMED))
        if known == digest:
            self._waits_for_policy = None
            return
        if known is None or not retention.confirm_share:
            await self._accept(digest)
            return
        endings = await self._planned(now)
        totals = await self._context.backend.read(lambda reader: reader.totals(None))
        size_bytes = sum(one.row.logical_bytes for one in endings)
        share = size_bytes / totals.logical_bytes if totals.logical_bytes else 0.0
        if share <= retention.confirm_share:
            await self._accept(digest)
            return
        await self._wait(len(endings), share)

    async def _accept(self, digest: str) -> None:
        await self._context.backend.tend(lambda catalog: catalog.set(_CONFIRMED, digest))
        if self._waits_for_policy is not None:
            await self._tell("expiry_resumed", (("why", "policy"),))
        self._waits_for_policy = None

    async def _wait(self, count: int, share: float) -> None:
        if self._waits_for_policy is None:
            LOG.warning("expiry waits: changed settings would end much", count=count, percent=round(100 * share))
            await self._tell("expiry_halted", (("why", "policy"), ("count", count), ("percent", round(100 * share))))
        self._waits_for_policy = (
            f"nothing expires: changed retention settings would end {count} checkpoints, {100 * share:.0f} % of the "
            "store; see ckptctl cleanup --dry-run; if it is meant: ckptctl cleanup --confirm-policy"
        )

    async def _tell(self, kind: str, data: tuple[tuple[str, int | str | None], ...]) -> None:
        context = self._context
        await context.backend.commit(Change(context.clock.now(), 0, events=(EventRow(kind, 0, None, "", data),)))
        context.events.happened()


def standing(one: Surveyed, process: ProcessKey, policy: Policy) -> Standing:
    """A checkpoint as the rules of its process see it."""
    best = policy.rules.best
    metric = policies.metric_of(one.metadata, best.metric) if best is not None else None
    return Standing(one.key, process, False, one.restorable, one.has_state, one.pinned, one.expires_at, one.seq, metric)


def _digest(retention: Retention) -> str:
    """Of the settings that decide over checkpoints that are there already."""
    told = (retention.policies, retention.abandon_after_seconds, retention.completed_ttl_seconds)
    return sha256(repr(told).encode()).hexdigest()
