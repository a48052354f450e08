"""Verbs about what is kept, and what goes: `cleanup`."""

from collections.abc import Sequence

from ckptclient import calls, results
from ckptd.ctl import documents, shown
from ckptd.ctl.answer import Answer, Block, Column, Lines, Table
from ckptd.ctl.session import Session

ENDINGS: Sequence[Column[results.EndingInfo]] = (
    Column("checkpoint", lambda e, _: e.checkpoint_id, lambda e: e.checkpoint_id, 0, width_min=16),
    Column("user", lambda e, _: e.user, lambda e: e.user, 2, width_min=4),
    Column("why", lambda e, _: e.why, lambda e: e.why, 0, width_min=10),
    Column("size", lambda e, _: shown.size(e.size_bytes), lambda e: e.size_bytes, 1, right=True, width_min=7),
    Column("stored", lambda e, _: shown.size(e.stored_bytes), lambda e: e.stored_bytes, 1, right=True, width_min=7),
)


def cleanup(session: Session, *, dry_run: bool, confirm_clock: bool, confirm_policy: bool) -> Answer:
    """Expire what is due and give its space back, now; or say what would go."""
    call = calls.cleanup(dry_run=dry_run, confirm_clock=confirm_clock, confirm_policy=confirm_policy)
    cleaned = session.call(call)
    document: documents.Document = {
        "expired_count": cleaned.expired,
        "purged_count": cleaned.purged,
        "freed_bytes": cleaned.freed_bytes,
        "dry_run": dry_run,
        "waits": list(cleaned.waits),
        "endings": [documents.ending(one) for one in cleaned.endings],
    }
    blocks: list[Block] = [Table(ENDINGS, cleaned.endings)] if cleaned.endings else []
    counted, freed = shown.counted(cleaned.expired, "checkpoint"), shown.size(cleaned.freed_bytes)
    if dry_run:
        blocks.append(Lines(f"would expire {counted}, with {freed} that are stored for them alone"))
    else:
        blocks.append(Lines(f"cleaned up: {cleaned.expired:,} expired, {cleaned.purged:,} purged, {freed} freed"))
    return Answer(document, (*blocks, *(Lines(f"! {one}") for one in cleaned.waits)))
