"""Checkpoints that lie in the archive: rows that name their files, and the two transactions that move one.

A file's row comes before the file and goes after it, so that whatever a crash leaves is named: WRITING is a file that
may be half there, KEPT the one copy of a checkpoint, DOOMED one that nothing needs any more.
"""

from collections.abc import Sequence

import apsw

from ckptd.core.change import ManifestPart, NotePlace, Place
from ckptd.core.ids import CheckpointKey
from ckptd.core.process_table import State
from ckptd.store.catalog.sqlite.bodies import add_note, drop_notes
from ckptd.store.catalog.sqlite.standing import MOVED
from ckptd.store.catalog.sqlite.transaction import Transaction

WRITING, KEPT, DOOMED = 0, 1, 2

ARCHIVABLE = f"c.place={Place.LIVE:d} AND p.state={State.COMPLETED:d}"
"""What may move: nothing that somebody may go on with."""


def begin(connection: apsw.Connection, name: str, checkpoint: CheckpointKey) -> int:
    """See `Catalog.begin_archive`."""
    connection.execute("INSERT INTO archive(name,checkpoint,state) VALUES(?,?,?)", (name, checkpoint, WRITING))
    return connection.last_insert_rowid()


def archived(connection: apsw.Connection, archive: int, size_bytes: int, checksum: bytes) -> bool:
    """See `Catalog.archived`."""
    row = connection.execute(
        f"SELECT c.k,{MOVED} FROM archive a JOIN checkpoint c ON c.k=a.checkpoint JOIN process p ON p.k=c.process "
        f"WHERE a.k=? AND a.state=? AND {ARCHIVABLE}",
        (archive, WRITING),
    ).fetchone()
    if row is None:
        connection.execute("UPDATE archive SET state=? WHERE k=?", (DOOMED, archive))
        return False
    key, *moved = row
    transaction = Transaction(connection)
    transaction.checkpoints.transfer(key, moved, Place.LIVE, Place.ARCHIVED, None, stored=0)
    transaction.flush()
    connection.execute("UPDATE checkpoint SET archive=?,small=NULL WHERE k=?", (archive, key))
    connection.execute("UPDATE archive SET state=?,bytes=?,checksum=? WHERE k=?", (KEPT, size_bytes, checksum, archive))
    connection.execute("UPDATE body SET refs=refs-1 WHERE k IN (SELECT body FROM part WHERE checkpoint=?)", (key,))
    _repeated(connection, key)
    connection.execute("DELETE FROM part WHERE checkpoint=?", (key,))
    drop_notes(connection, [key])
    return True


def _repeated(connection: apsw.Connection, checkpoint: int) -> None:
    """A body that stands in the checkpoint more than once has as many references."""
    rows = connection.execute(
        "SELECT body,count(*)-1 FROM part WHERE checkpoint=? GROUP BY body HAVING count(*)>1", (checkpoint,)
    ).fetchall()
    connection.executemany("UPDATE body SET refs=refs-? WHERE k=?", [(more, body) for body, more in rows])


def unarchived(
    connection: apsw.Connection,
    checkpoint: CheckpointKey,
    manifest: bytes,
    checksum: bytes,
    parts: Sequence[ManifestPart],
    small: bytes | None,
    note: NotePlace | None,
) -> bool:
    """See `Catalog.unarchived`."""
    row = connection.execute(
        f"SELECT c.archive,{MOVED} FROM checkpoint c WHERE c.k=? AND c.place=?", (checkpoint, Place.ARCHIVED)
    ).fetchone()
    if row is None:
        return False
    archive, *moved = row
    transaction = Transaction(connection)
    transaction.checkpoints.transfer(
        checkpoint, moved, Place.ARCHIVED, Place.LIVE, None, stored=len(small) if small is not None else 0
    )
    transaction.flush()
    # 0: it was asked back, and its age alone doesn't move it again.
    connection.execute(
        "UPDATE checkpoint SET archive=0,small=?,manifest=?,checksum=? WHERE k=?",
        (small, manifest, checksum, checkpoint),
    )
    connection.execute("UPDATE archive SET state=? WHERE k=?", (DOOMED, archive))
    bodies = [
        (checkpoint, ordinal, extent, body)
        for ordinal, part in enumerate(parts)
        for extent, body in enumerate(part.bodies)
    ]
    connection.executemany("INSERT INTO part VALUES(?,?,?,?)", bodies)
    connection.executemany("UPDATE body SET refs=refs+1 WHERE k=?", [(body,) for *_, body in bodies])
    if note is not None:
        add_note(connection, checkpoint, note)
    return True


def doom(connection: apsw.Connection, checkpoints: Sequence[int]) -> None:
    """Checkpoints go for good, and so do their files."""
    connection.executemany(
        "UPDATE archive SET state=? WHERE k=(SELECT archive FROM checkpoint WHERE k=?)",
        [(DOOMED, key) for key in checkpoints],
    )
