"""The verb `rebuild-catalog`: a new store from the packs of one whose catalog is lost."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ckptclient.errors import Partial
from ckptd.ctl import documents, shown
from ckptd.ctl.answer import Answer, Block, Column, Facts, Table
from ckptd.ctl.progressing import Bar
from ckptd.ctl.session import Session

if TYPE_CHECKING:
    from ckptd.store.rebuild import Lost

NAMED_MAX = 1000
"""Of what could not be had."""


def rebuild_catalog(session: Session, *, path: str, into: str) -> Answer:
    """Make it, and say what it holds and what could not be had; the exit code is 3 where that is anything."""
    from ckptd.compose import rebuild_catalog as rebuild  # the whole of a store, which few runs need

    packs = Path(path) / "packs"
    total = sum(one.stat().st_size for one in packs.iterdir()) if packs.is_dir() else 0
    with Bar(session, "rebuild-catalog", total) as bar:
        made = rebuild(Path(path).absolute(), Path(into).absolute(), session.world.clock.now(), bar.add)
    document: documents.Document = {
        "into": into,
        "pack_count": made.packs,
        "chunk_count": made.chunks,
        "checkpoint_count": made.checkpoints,
        "lost_count": len(made.lost),
        "lost": [{"what": one.what, "why": one.why} for one in made.lost[:NAMED_MAX]],
    }
    blocks: list[Block] = [
        Facts(
            [
                ("store", into),
                ("packs", shown.count(made.packs)),
                ("chunks", shown.count(made.chunks)),
                ("checkpoints", f"{shown.count(made.checkpoints)}, each tagged maybe-deleted"),
            ]
        )
    ]
    if made.lost:
        blocks.append(Table(_LOST, made.lost[:NAMED_MAX]))
    notes = (
        "small checkpoints, result journals, pins, tags and ends are in the catalog alone: they are not here",
        f"ckptctl verify --deep --store {into} compares it with what was saved",
    )
    return Answer(document, blocks, notes, exit_code=Partial.exit_code if made.lost else 0)


_LOST: Sequence[Column["Lost"]] = (
    Column("lost", lambda one, _: shown.clean(one.what), lambda one: one.what),
    Column("why", lambda one, _: shown.clean(one.why), lambda one: one.why),
)
