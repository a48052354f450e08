"""Rows of SQLite to values, for whoever reads or writes."""

import struct
from collections.abc import Sequence
from typing import Any

from ckptd.core.change import CheckpointRow, CheckpointType, Place, ProcessRow, ProgressNow
from ckptd.core.ids import CheckpointKey, Epoch, Holder, ProcessKey
from ckptd.core.process_table import Mode, State
from ckptd.store.catalog.interface import ChunkRow

PROCESS_COLUMNS = (
    "k,uid,process_id,incarnation,epoch,state,task_id,description,boot_id,holder_pid,holder_start,session,"
    "total,completed,step,batch,metadata,done,failed,speed,progress_at,fingerprint,schema_version,policy,sequence,"
    "mode,head,next_seq,next_pos,deaths,registered_at,ended_at"
)


def process_row(row: Sequence[Any]) -> ProcessRow:
    """A row of PROCESS_COLUMNS."""
    (
        key, uid, process_id, incarnation, epoch, state, task_id, description, boot_id, pid, start, session,
        total, completed, step, batch, metadata, done, failed, speed, progress_at, fingerprint, schema_version, policy,
        sequence, mode, head, next_seq, next_pos, deaths, registered_at, ended_at,
    ) = row  # fmt: skip
    holder = None if boot_id is None else Holder(boot_id, pid, start, session)
    progress = ProgressNow(total, completed, step, batch, metadata, done, failed, speed, progress_at)
    return ProcessRow(
        ProcessKey(key), uid, process_id, incarnation, Epoch(epoch), State(state), task_id, description, holder,
        progress, fingerprint, schema_version, policy, sequence, Mode(mode), head, next_seq, next_pos, deaths,
        registered_at, ended_at,
    )  # fmt: skip


CHECKPOINT_COLUMNS = (
    "c.k,c.process,p.uid,p.process_id,p.state,c.seq,c.epoch,c.type,c.place,c.created_at,c.expires_at,c.ended_at,"
    "c.pinned,c.logical,c.own,c.journal_pos,c.attempts,c.has_state,c.schema_version,c.checksum,c.task_id,"
    "c.description,c.metadata,c.alias,c.proven_at"
)


# By number: calling an enumeration takes five times as long, thrice for each row of a page.
_STATES, _TYPES, _PLACES = tuple(State), tuple(CheckpointType), tuple(Place)


def checkpoint_row(row: Sequence[Any]) -> CheckpointRow:
    """A row of CHECKPOINT_COLUMNS (checkpoint c joined with process p)."""
    (
        key, process, uid, process_id, state, seq, epoch, type_, place, created_at, expires_at, ended_at, pinned, logical,
        own, position, attempts, has_state, schema_version, checksum, task_id, description, metadata, alias,
        proven_at,
    ) = row  # fmt: skip
    return CheckpointRow(
        CheckpointKey(key), ProcessKey(process), uid, process_id, _STATES[state], seq, Epoch(epoch), _TYPES[type_],
        _PLACES[place], created_at, expires_at, ended_at, bool(pinned), logical, own, position, attempts, bool(has_state),
        schema_version, checksum, task_id, description, metadata, alias, proven_at,
    )  # fmt: skip


LIVE, ZERO, CONDEMNED = 0, 1, 2
"""States of a chunk."""

CHUNK_COLUMNS = "k,id,pack,at,stored,bytes,encoding,base,depth"


def chunk_row(row: Sequence[Any]) -> ChunkRow:
    """A row of CHUNK_COLUMNS."""
    return ChunkRow(*row)


def pack_keys(keys: Sequence[int]) -> bytes:
    """A body's chunk keys: 8 bytes each, little-endian."""
    return struct.pack(f"<{len(keys)}q", *keys)


def unpack_keys(packed: bytes) -> tuple[int, ...]:
    """The reverse of `pack_keys`."""
    return struct.unpack(f"<{len(packed) // 8}q", packed)
