"""Records go into the result journal, and rewinds set them aside.

`journal_item` has the newest record of each item, because that alone says whether the item is done, and nothing may
have to read a whole journal to find it. Done and failed are counted here, in the transaction: an item counts once,
however often it is recorded or its records are sent.
"""

import apsw

from ckptd.core.change import JournalAppend, Rewind, Suspicion
from ckptd.core.journal import DONE, FAILED, Cut, disjoint, in_cut
from ckptd.store.catalog.sqlite.processes import Process

NO_ORDINAL = -1
_RECORD = "INSERT INTO journal(process,pos,epoch,member,kind,ordinal,digest,item,result,at) VALUES(?,?,?,?,?,?,?,?,?,?)"
_EARLIER = "SELECT pos,kind FROM journal_item WHERE process=? AND ordinal=? AND digest=?"
_NEWEST = "INSERT INTO journal_item VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE SET pos=excluded.pos,kind=excluded.kind"
_CUT = (
    "INSERT INTO journal_cut VALUES(?,?,?,?,?,?) ON CONFLICT DO UPDATE SET upto_pos=max(upto_pos,excluded.upto_pos),"
    "upto_seq=max(upto_seq,excluded.upto_seq),epoch=excluded.epoch"
)


class Journaling:
    """The records that a batch appends and sets aside."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def append(self, journal: JournalAppend, process: Process, member: bytes | None, at: int) -> None:
        """Write records from their position on; something was recorded, so deaths in a row begin anew."""
        rows: list[tuple[object, ...]] = []
        counts = [process.done, process.failed]
        spans: tuple[Cut, ...] | None = None
        position = journal.position
        for one in journal.records:
            item = (process.k, NO_ORDINAL if one.ordinal is None else one.ordinal, one.digest or b"")
            earlier = self._execute(_EARLIER, item).fetchone()
            if earlier is not None:
                spans = self._spans(process) if spans is None else spans
                if not in_cut(earlier[0], spans):
                    counts[earlier[1]] -= 1
            self._execute(_NEWEST, (*item, position, one.kind))
            counts[one.kind] += 1
            rows.append((process.k, position, process.epoch, member, one.kind, *item[1:], one.item, one.result, at))
            position += 1
        self._connection.executemany(_RECORD, rows)
        self._connection.executemany(
            "DELETE FROM suspect WHERE process=? AND item=?", [(process.k, item) for item in journal.clears]
        )
        process.next_pos = max(process.next_pos, position)
        process.done, process.failed = counts[DONE], counts[FAILED]
        if rows:
            process.deaths = 0

    def _spans(self, process: Process) -> tuple[Cut, ...]:
        cuts = self._execute("SELECT after_pos,upto_pos FROM journal_cut WHERE process=?", (process.k,))
        return disjoint(Cut(*row) for row in cuts)

    def rewind(self, back: Rewind, process: Process) -> None:
        """Set aside what came after a checkpoint: one row. Numbers that were given out, used or not, stay used."""
        self._execute(
            _CUT, (process.k, back.after_position, back.upto_position, back.after_seq, back.upto_seq, process.epoch)
        )
        process.head = back.checkpoint
        process.next_seq = max(process.next_seq, back.upto_seq + 1)
        process.next_pos = max(process.next_pos, back.upto_position)

    def suspect(self, found: Suspicion, process: Process) -> None:
        """One more attempt of an item that was in hand at a death, or its first again."""
        self._execute(
            "INSERT INTO suspect VALUES(?1,?2,?3,1,?4) ON CONFLICT DO UPDATE SET "
            "attempts=CASE WHEN ?5 THEN 1 ELSE attempts+1 END,ordinal=excluded.ordinal,evidence=excluded.evidence",
            (process.k, found.item, found.ordinal, found.evidence, found.restarts),
        )
