"""Process rows on their way through a batch: each is read once, changed in memory, and written once at its end.

They are remembered from one batch to the next, because nobody else writes while batches follow each other; the writer
forgets them at once when anything else was written, or a transaction didn't end well.
"""

from dataclasses import dataclass, fields
from operator import attrgetter

import apsw

from ckptd.core.ids import Holder, ProcessKey
from ckptd.core.process_table import Mode, State
from ckptd.store.catalog.sqlite import answers as kept_answers


@dataclass(slots=True, eq=False)
class Process:
    """The columns of a process row that are read or written here, under their own names; `answers` unpacked."""

    k: ProcessKey
    uid: int
    process_id: str
    now: int
    epoch: int
    state: State
    answers: kept_answers.Answers
    task_id: str
    description: str
    boot_id: bytes | None
    holder_pid: int | None
    holder_start: int | None
    session: bytes | None
    total: int | None
    completed: int
    step: str
    batch: str | None
    metadata: bytes
    done: int
    failed: int
    speed: bytes
    progress_at: int
    fingerprint: bytes | None
    schema_version: int
    policy: bytes
    abandon_after: int | None
    sequence: bytes
    mode: Mode
    head: int | None
    next_seq: int
    next_pos: int
    deaths: int
    checkpoints: int
    registered_at: int
    ended_at: int | None

    def hold(self, holder: Holder | None) -> None:
        """Name the holder, or nobody."""
        self.boot_id, self.holder_pid, self.holder_start, self.session = (
            (holder.boot_id, holder.pid, holder.start, holder.session) if holder else (None, None, None, None)
        )


_NAMES = [field.name for field in fields(Process)]
_FIXED = _NAMES.index("now")
_PACKED = _NAMES.index("answers")
_STATE = _NAMES.index("state")
_INDEXED = ("now", "state")
_PLAIN = [name for name in _NAMES[_FIXED:] if name != "answers" and name not in _INDEXED]
_LOAD = f"SELECT {','.join(_NAMES)} FROM process WHERE k=?"
# Naming an indexed column rewrites its index, changed or not: two more pages in the log of every save.
_MOVE = f"UPDATE process SET {','.join(f'{name}=?' for name in _INDEXED)} WHERE k=?"
_STORE = f"UPDATE process SET {','.join(f'{name}=?' for name in _PLAIN)},answers=? WHERE k=?"
_INSERT = (
    "INSERT INTO process(uid,process_id,now,incarnation,epoch,state,task_id,description,completed,step,metadata,done,failed,"
    "speed,progress_at,schema_version,policy,sequence,mode,next_seq,next_pos,deaths,checkpoints,registered_at) "
    "VALUES(?,?,1,?,0,0,?,?,0,'initialized',x'',0,0,x'',?,0,x'',x'',0,?,0,0,0,?)"
)
_plain = attrgetter(*_PLAIN)


class Processes:
    """The rows that a batch touches."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._loaded: dict[ProcessKey, Process] = {}
        self._changed: set[Process] = set()
        self._indexed: dict[ProcessKey, tuple[int, State]] = {}

    def __len__(self) -> int:
        return len(self._loaded)

    def load(self, key: ProcessKey) -> Process | None:
        """A row as the changes before left it; None where it is gone."""
        process = self._loaded.get(key)
        if process is None:
            row = self._connection.execute(_LOAD, (key,)).fetchone()
            if row is None:
                return None
            process = Process(*row)
            process.state, process.answers = State(row[_STATE]), kept_answers.unpack(row[_PACKED])
            self._loaded[key] = process
            self._indexed[key] = process.now, process.state
        return process

    def current(self, uid: int, process_id: str) -> ProcessKey | None:
        """The incarnation of a name that counts now."""
        row = self._connection.execute(
            "SELECT k FROM process WHERE uid=? AND process_id=? AND now=1", (uid, process_id)
        ).fetchone()
        return row[0] if row else None

    def insert(
        self, uid: int, process_id: str, incarnation: bytes, words: tuple[str, str], seq: int, at: int
    ) -> Process:
        """A new row in state registered; `words` are task id and description, `seq` its first checkpoint's number."""
        self._connection.execute(_INSERT, (uid, process_id, incarnation, *words, at, seq, at))
        process = self.load(ProcessKey(self._connection.last_insert_rowid()))
        assert process is not None
        return process

    def retire(self, process: Process) -> None:
        """It stops being the current incarnation: at once, because the index allows one of a name."""
        process.now = 0
        self._connection.execute("UPDATE process SET now=0 WHERE k=?", (process.k,))
        self.changed(process)

    def changed(self, process: Process) -> None:
        """Write this row at the end."""
        self._changed.add(process)

    def flush(self) -> None:
        """Write what changed."""
        moved = [(one.now, one.state, one.k) for one in self._changed if (one.now, one.state) != self._indexed[one.k]]
        if moved:
            self._connection.executemany(_MOVE, moved)
            self._indexed.update({key: (now, state) for now, state, key in moved})
        self._connection.executemany(
            _STORE, [(*_plain(one), kept_answers.pack(one.answers), one.k) for one in self._changed]
        )
        self._changed.clear()
