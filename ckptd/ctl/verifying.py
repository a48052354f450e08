"""Verbs that read what is stored and compare it: `verify` now, `scrub` what goes on by itself."""

from collections.abc import Sequence
from pathlib import Path

from ckptclient import calls, results
from ckptclient.errors import BadRequest
from ckptd.ctl import documents, naming, payloads, shown
from ckptd.ctl.answer import Answer, Block, Column, Facts, Table, done
from ckptd.ctl.progressing import Bar
from ckptd.ctl.session import Session

EXIT_DAMAGED = 9
"""As DAMAGED: the verb worked, and what it found is not as it was written."""


def verify(session: Session, *, id: str | None, deep: bool) -> Answer:
    """One checkpoint, down to its decoded bytes; or the whole store, slice by slice."""
    return _checkpoint(session, id) if id is not None else _store(session, deep)


def _checkpoint(session: Session, named: str) -> Answer:
    info = naming.checkpoint(session, named)
    with Bar(session, f"verify {info.checkpoint_id}", info.size_bytes) as bar:
        for index in range(len(info.parts)):
            for _ in bar.through(payloads.pieces(session, info, index)):
                pass  # each piece was verified where it was read; what doesn't verify raises
    return done(
        f"✓ {info.checkpoint_id} is whole: {shown.counted(len(info.parts), 'part')}, {shown.size(info.size_bytes)}",
        deep=True,
        read_bytes=info.size_bytes,
        findings=[],
        checkpoints=[],
    )


def _store(session: Session, deep: bool) -> Answer:
    step = session.call(calls.verify(deep=deep))
    found, read_bytes = list(step.findings), 0
    with Bar(session, "verify", step.total_bytes) as bar:
        while step.next is not None:
            step = session.call(calls.verify(deep=deep, place=step.next))
            found += step.findings
            read_bytes += step.read_bytes
            bar.add(step.read_bytes)
    hit = list(dict.fromkeys(one for finding in found for one in finding.checkpoints))
    document: documents.Document = {
        "deep": deep,
        "read_bytes": read_bytes,
        "findings": [_finding(one) for one in found],
        "checkpoints": [_hit(one) for one in hit],
    }
    if not found:
        return Answer(document, (Facts([("store", f"✓ whole: {shown.size(read_bytes)} of packs read")]),))
    blocks: list[Block] = [Table(_FINDINGS, found)]
    if hit:
        blocks.append(Table(_HITS, hit))
    note = f"{shown.counted(len(found), 'finding')}, {shown.counted(len(hit), 'checkpoint')} hit"
    return Answer(document, blocks, (note,), exit_code=EXIT_DAMAGED)


def scrub(session: Session, *, act: str | None, from_: str | None) -> Answer:
    """Steer the scrub where that is asked for, and say how it stands."""
    if (act == "repair") != (from_ is not None):
        raise BadRequest("a repair has a source, and nothing else has", hint="ckptctl scrub repair --from BACKUP")
    if act is not None:
        source = None if from_ is None else str(Path(from_).absolute())
        session.call(calls.scrub(act, source=source))
    report, view = session.call(calls.damage()), session.view()
    document: documents.Document = {
        "paused": report.paused,
        "period_seconds": report.period_seconds,
        "oldest_at": documents.time_of(report.oldest_at),
        "listed_at": documents.time_of(report.listed_at),
        "faults_count": report.faults,
        "damage": [_damage(one) for one in report.damage],
        "checkpoints": [_hit(one) for one in report.checkpoints],
    }
    period = shown.span(report.period_seconds) if report.period_seconds else "only when asked"
    facts = [
        ("scrub", "paused" if report.paused else f"everything within {period}"),
        ("oldest look", view.both(report.oldest_at)),
        ("catalog", f"{view.both(report.listed_at)}, {shown.counted(report.faults, 'fault')}"),
        ("damage", f"! {shown.counted(len(report.damage), 'place')}" if report.damage else "✓ none known"),
    ]
    blocks: list[Block] = [Facts(facts)]
    if report.damage:
        blocks.append(Table(_DAMAGE, report.damage))
    if report.checkpoints:
        blocks.append(Table(_HITS, report.checkpoints))
    return Answer(document, blocks)


_FINDINGS: Sequence[Column[results.FindingInfo]] = (
    Column("pack", lambda one, _: one.pack or "catalog", lambda one: one.pack, rank=2),
    Column("offset", lambda one, _: str(one.offset) if one.pack else "", lambda one: one.offset, right=True),
    Column("checkpoints", lambda one, _: str(len(one.checkpoints)), lambda one: len(one.checkpoints), right=True),
    Column("what", lambda one, _: shown.clean(one.message), lambda one: one.message),
)
_DAMAGE: Sequence[Column[results.DamageInfo]] = (
    Column("pack", lambda one, _: one.pack, lambda one: one.pack, rank=2),
    Column("offset", lambda one, _: str(one.offset), lambda one: one.offset, right=True),
    Column("found", lambda one, view: view.age(one.found_at), lambda one: one.found_at),
    Column("what", lambda one, _: shown.clean(one.how), lambda one: one.how),
)
_HITS: Sequence[Column[results.HitInfo]] = (
    Column("checkpoint", lambda one, _: shown.clean(one.checkpoint_id), lambda one: one.checkpoint_id),
    Column("process", lambda one, _: shown.clean(one.process_id), lambda one: one.process_id),
    Column("user", lambda one, _: one.user, lambda one: one.user),
)


def _finding(one: results.FindingInfo) -> documents.Document:
    return {
        "message": one.message,
        "pack": one.pack,
        "offset": one.offset,
        "size_bytes": one.size_bytes,
        "chunk": one.chunk.hex(),
        "checkpoints": [_hit(hit) for hit in one.checkpoints],
    }


def _damage(one: results.DamageInfo) -> documents.Document:
    found_at = documents.time_of(one.found_at)
    return {"pack": one.pack, "offset": one.offset, "size_bytes": one.size_bytes, "how": one.how, "found_at": found_at}


def _hit(one: results.HitInfo) -> documents.Document:
    return {"user": one.user, "process_id": one.process_id, "checkpoint_id": one.checkpoint_id}
