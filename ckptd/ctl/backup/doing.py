"""What the verbs of backups do; what a backup is made of is `ckptd.store.backup`'s.

The tool reads the store's files itself and must be allowed to: as root, or as the user that the daemon runs as. A
daemon that runs is asked to keep every pack meanwhile; where none runs, it is kept from beginning. So a backup costs
the daemon nothing but the reading, and one that is killed leaves nothing behind but what the next goes on from.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ckptclient import calls
from ckptclient.errors import Damaged, Denied, ReadOnly, Unreachable
from ckptd.compose import RANDOM_BYTES, backup_copies, open_offline
from ckptd.ctl import documents, shown
from ckptd.ctl.answer import Answer, Column, Facts, Lines, Table, done
from ckptd.ctl.progressing import Bar
from ckptd.ctl.session import Session
from ckptd.store import backup
from ckptd.store.backup import Destination, Manifest
from ckptd.store.offline import visit

_NAME_RANDOM_BYTES: Final = 4


def run(session: Session, destination: str, keep: int) -> Answer:
    """Make a backup; the daemon may be up or down."""
    target = Destination(Path(destination))
    with target.occupied(), _source(session, target) as (source, ended), _telling(session, "backing up") as told:
        made = backup.run(
            source,
            target,
            backup_copies(),
            at=session.world.clock.now(),
            random=os.urandom(_NAME_RANDOM_BYTES),
            keep=keep,
            told=told,
        )
        ended(made.manifest)
    manifest, damaged = made.manifest, made.manifest.damaged
    line = (
        f"backed up to {target.path} as {manifest.name}: {shown.size(manifest.size_bytes)}, "
        f"{shown.size(made.copied_bytes)} of it copied now"
    )
    answer = done(
        line,
        **_document(manifest),
        path=str(target.path),
        copied_bytes=made.copied_bytes,
        removed=list(made.pruned),
    )
    if not damaged:
        return answer
    notes = (
        f"{shown.counted(len(damaged), 'record')} of the store are damaged, and so they are in the backup: ckptctl verify",
    )
    return Answer(answer.document, answer.blocks, notes, exit_code=Damaged.exit_code)


@contextmanager
def _source(session: Session, target: Destination) -> Iterator[tuple[backup.Source, Callable[[Manifest], None]]]:
    """The store to be copied, kept from losing a pack, and what is to be called when its backup is complete."""
    try:
        status = session.call(calls.status())
    except Unreachable as error:
        if session.common.store is None:
            raise Unreachable(
                error.message, hint="--store DIR backs up the store of a daemon that doesn't run", details=error.details
            ) from error
        with _offline(session, Path(session.common.store).absolute()) as source:
            yield source, lambda manifest: None
        return
    store = Path(status.store_path)
    if not os.access(store / "packs", os.R_OK | os.X_OK):
        raise Denied(f"the files of the store {store} can't be read", hint="run it as root, or as the daemon's user")
    try:
        begun = session.call(calls.backup_begin())
    except ReadOnly:
        # Nothing is written to it and nothing removed: what there is stays.
        yield backup.Source(store, live=False), lambda manifest: None
        return
    connection = session.daemon.connection

    def keeps() -> bool:
        session.call(calls.ping())
        return session.daemon.connection == connection

    def ended(manifest: Manifest) -> None:
        path = str(target.path.absolute())
        with suppress(Unreachable):  # it went meanwhile; the backup is complete without it
            session.call(calls.backup_end(begun.backup, bytes.fromhex(manifest.checksum), manifest.name, path))

    # Whatever ends this ends the connection, and with it the hold.
    yield backup.Source(store, live=True, keeps=keeps), ended


@contextmanager
def _offline(session: Session, store: Path) -> Iterator[backup.Source]:
    lock = visit(store)
    try:
        if not session.common.json:
            session.world.say(f"no daemon has {store}: its files are read as they are")
        yield backup.Source(store, live=False)
    finally:
        os.close(lock)


def ls(destination: str) -> Answer:
    """What there is, and what can't be read."""
    target = Destination(Path(destination))
    found, bad = target.listing()
    document: documents.Document = {
        "path": str(target.path),
        "backups": [_document(one) for one in found],
        "unreadable": [{"name": one.name, "message": one.why.message} for one in bad],
    }
    notes = [f"{one.name} can't be read: {one.why.message}" for one in bad]
    code = Damaged.exit_code if bad else 0
    return Answer(document, (Table(_COLUMNS, found, empty=f"no backup at {target.path}"),), notes, exit_code=code)


_COLUMNS: Final[tuple[Column[Manifest], ...]] = (
    Column("name", lambda one, view: one.name, lambda one: one.name),
    Column("age", lambda one, view: view.age(one.at), lambda one: -one.at, rank=1),
    Column("size", lambda one, view: shown.size(one.size_bytes), lambda one: one.size_bytes, rank=2, right=True),
    Column("checkpoints", lambda one, view: shown.count(one.checkpoints), lambda one: one.checkpoints, rank=3, right=True),
    Column("damaged", lambda one, view: shown.count(len(one.damaged)), lambda one: len(one.damaged), rank=4, right=True,
        mark=lambda one: "bad" if one.damaged else ""),
    Column("store", lambda one, view: one.store_path, lambda one: one.store_path, rank=5),
)  # fmt: skip


def verify(
    session: Session, destination: str, name: str | None, *, deep: bool, drill: bool, scratch: str | None
) -> Answer:
    """Read a backup; with a drill, restore it on trial too."""
    target = Destination(Path(destination))
    manifest = target.backup(name)
    with _telling(session, f"verifying {manifest.name}") as told:
        found = backup.verify(target, manifest, backup_copies(), deep=deep, told=told)
    tried = _drilled(session, target, manifest, scratch) if drill and not found.wrong else None
    wrong = [*found.wrong, *(f"{name}: {why}" for name, why in (tried.failed if tried else ()))]
    document: documents.Document = {
        **_document(manifest),
        "path": str(target.path),
        "deep": deep,
        "read_bytes": found.read_bytes,
        "wrong": wrong,
        "drill": None
        if tried is None
        else {
            "process_count": tried.processes,
            "checkpoint_count": tried.checkpoints,
            "archived_count": tried.archived,
            "size_bytes": tried.plain_bytes,
        },
    }
    facts = [
        ("backup", manifest.name),
        ("made", session.view().both(manifest.at)),
        ("read", shown.size(found.read_bytes)),
        ("damaged before", shown.count(found.known)),
    ]
    if tried is not None:
        facts.append(
            (
                "drill",
                f"{shown.counted(tried.checkpoints, 'checkpoint')} of {shown.counted(tried.processes, 'process', 'processes')}, {shown.size(tried.plain_bytes)}",
            )
        )
    verdict = f"✗ {len(wrong)} things are wrong" if wrong else "✓ whole"
    lines = Lines("\n".join([verdict, *wrong]))
    return Answer(document, (Facts(facts), lines), exit_code=Damaged.exit_code if wrong else 0)


def _drilled(session: Session, target: Destination, manifest: Manifest, scratch: str | None) -> backup.Drilled:
    with _telling(session, f"restoring {manifest.name} on trial") as told:
        return backup.drill(
            target,
            manifest,
            backup_copies(),
            open_offline,
            lineage=os.urandom(RANDOM_BYTES),
            at=session.world.clock.now(),
            scratch=Path(scratch) if scratch else None,
            told=told,
        )


def restore(session: Session, source: str, directory: str, name: str | None) -> Answer:
    """A store from a backup."""
    target, store = Destination(Path(source)), Path(directory)
    manifest = target.backup(name)
    with _telling(session, f"restoring {manifest.name}") as told:
        restored = backup.restore(
            target,
            manifest,
            store,
            backup_copies(),
            lineage=os.urandom(RANDOM_BYTES),
            at=session.world.clock.now(),
            told=told,
        )
    return done(
        f"restored {manifest.name} to {store}: {shown.size(restored.size_bytes)}, {manifest.checkpoints:,} checkpoints",
        **_document(manifest),
        store=str(store),
        new_lineage=restored.lineage.hex(),
    )


def _document(manifest: Manifest) -> documents.Document:
    return {
        "name": manifest.name,
        "at": documents.time_of(manifest.at),
        "store_path": manifest.store_path,
        "lineage": manifest.lineage,
        "size_bytes": manifest.size_bytes,
        "checkpoint_count": manifest.checkpoints,
        "damaged_record_count": len(manifest.damaged),
    }


@contextmanager
def _telling(session: Session, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that begins when the total is known."""
    bar: Bar | None = None
    before = 0

    def told(done: int, total: int) -> None:
        nonlocal bar, before
        if total:
            bar = bar or Bar(session, what, total).__enter__()
            bar.add(done - before)
            before = done

    try:
        yield told
    finally:
        if bar is not None:
            bar.__exit__(None, None, None)
