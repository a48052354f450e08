"""Counting again what the tables keep so that nobody has to count, and looking for rows that lost their owner.

Each question names what it is about and gives the rows that don't agree, none where all is well. References of chunks
stand in blobs and are counted here, in ranges of keys, so that the memory doesn't grow with the store.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from ckptd.store.catalog.interface import Audit, Undercount
from ckptd.store.catalog.sqlite.rows import unpack_keys
from ckptd.store.records import RECORD_HEADER_BYTES

Ask = Callable[[str, Sequence[object]], Iterator[Any]]

FAULTS_MAX: Final = 100
"""Of each question: who has more of them needs no longer list."""

_RANGE_KEYS: Final = 1 << 22
"""Chunks whose references are counted in one go: four bytes each."""

_HEAD = (
    "(SELECT c.k FROM checkpoint c WHERE process=p.k AND place!=1 AND NOT EXISTS(SELECT 1 FROM journal_cut x "
    "WHERE x.process=p.k AND seq>after_seq AND seq<=upto_seq) ORDER BY seq DESC LIMIT 1)"
)

_RECOUNTS: Final = (
    (
        "checkpoints of process {0}: {1} counted, {2} there",
        "SELECT * FROM (SELECT k,checkpoints kept,(SELECT count(*) FROM checkpoint WHERE process=p.k AND place!=1) found "
        "FROM process p) WHERE kept!=found",
    ),
    (
        "checkpoints by status {1} of user {0}: {2} counted, {3} there",
        "SELECT uid,value,max(kept),max(found) FROM (SELECT uid,value,n kept,0 found FROM counter WHERE dim=0 UNION ALL "
        "SELECT uid,CASE state WHEN 4 THEN 1 WHEN 5 THEN 2 ELSE 0 END,0,count(*) FROM checkpoint c JOIN process p "
        "ON p.k=c.process WHERE place!=1 GROUP BY 1,2) GROUP BY 1,2 HAVING max(kept)!=max(found) OR min(kept)<0",
    ),
    (
        "checkpoints by type {1} of user {0}: {2} counted, {3} there",
        "SELECT uid,value,max(kept),max(found) FROM (SELECT uid,value,n kept,0 found FROM counter WHERE dim=1 UNION ALL "
        "SELECT uid,type,0,count(*) FROM checkpoint c JOIN process p ON p.k=c.process WHERE place!=1 GROUP BY 1,2) "
        "GROUP BY 1,2 HAVING max(kept)!=max(found) OR min(kept)<0",
    ),
    (
        "checkpoints and bytes by place {1} of user {0}: {2} counted, {3} there",
        "SELECT uid,value,max(kept),max(found) FROM (SELECT uid,value,n||' '||logical||' '||stored kept,'' found "
        "FROM counter WHERE dim=2 AND (n!=0 OR logical!=0 OR stored!=0) UNION ALL SELECT uid,place,'',"
        "count(*)||' '||sum(logical)||' '||sum(coalesce(length(small),0)) FROM checkpoint c JOIN process p "
        "ON p.k=c.process GROUP BY 1,2) GROUP BY 1,2 HAVING max(kept)!=max(found)",
    ),
    (
        "references to body {0}: {1} counted, {2} there",
        "SELECT * FROM (SELECT k,refs kept,(SELECT count(*) FROM part WHERE body=b.k) found FROM body b) "
        "WHERE kept>found",
    ),
    (
        "live bytes of pack {0}: {1} counted, {2} there",
        f"SELECT * FROM (SELECT k,live kept,(SELECT coalesce(sum(stored+{RECORD_HEADER_BYTES}),0) FROM chunk WHERE pack=p.k)"
        f"+(SELECT coalesce(sum(stored+{RECORD_HEADER_BYTES}),0) FROM note WHERE pack=p.k) found FROM pack p) WHERE kept!=found",
    ),
    (
        "the newest record of item {1} of process {0}, at {2}, isn't in the journal",
        "SELECT process,ordinal,pos FROM journal_item i WHERE NOT EXISTS(SELECT 1 FROM journal j WHERE "
        "j.process=i.process AND j.pos=i.pos AND j.ordinal=i.ordinal AND j.digest=i.digest AND j.kind=i.kind)",
    ),
    (
        "the head of process {0} is checkpoint {1}, and should be {2}",
        f"SELECT * FROM (SELECT k,head kept,{_HEAD} found FROM process p) WHERE kept IS NOT found",
    ),
    (
        "the alias {0} of user {1} means checkpoint {2}, which knows nothing of it",
        "SELECT id,a.uid,checkpoint FROM alias a LEFT JOIN checkpoint c ON c.k=a.checkpoint LEFT JOIN process p "
        "ON p.k=c.process WHERE c.k IS NULL OR (place!=1 AND (alias IS NOT id OR p.uid!=a.uid))",
    ),
)

_OWNERS: Final = (
    ("part", "checkpoint", "checkpoint"),
    ("tag", "checkpoint", "checkpoint"),
    ("dependency", "checkpoint", "checkpoint"),
    ("checkpoint", "process", "process"),
    ("journal", "process", "process"),
    ("part", "body", "body"),
    ("chunk", "pack", "pack"),
    ("note", "checkpoint", "checkpoint"),
    ("note", "pack", "pack"),
    ("chunk", "base", "chunk"),
)
"""Table, column, and the table in whose `k` what stands there must be."""

_LOW_BODIES = (
    "SELECT k,hash,found-kept FROM (SELECT k,hash,refs kept,(SELECT count(*) FROM part WHERE body=b.k) found FROM body b) "
    "WHERE kept<found"
)


def audit(ask: Ask) -> Audit:
    """Everything counted. `ask` gives rows of one view of the catalog."""
    faults: list[str] = []
    for sentence, sql in _RECOUNTS:
        faults += (sentence.format(*row) for row in ask(f"{sql} LIMIT ?", (FAULTS_MAX,)))
    for table, column, owner in _OWNERS:
        sql = (
            f"SELECT DISTINCT {column} FROM {table} t WHERE {column} IS NOT NULL "
            f"AND NOT EXISTS(SELECT 1 FROM {owner} o WHERE o.k=t.{column}) LIMIT ?"
        )
        faults += (f"{table} refers to {owner} {key}, which isn't there" for (key,) in ask(sql, (FAULTS_MAX,)))
    bodies = [Undercount(*row) for row in ask(_LOW_BODIES, ())]
    faults += (f"references to body {one.key}: {one.by} too few" for one in bodies)
    chunks = _references(ask, faults)
    return Audit(tuple(faults), tuple(chunks), tuple(bodies))


def _references(ask: Ask, faults: list[str]) -> list[Undercount]:
    """Chunks with too few references; what else is wrong with a chunk's count goes to `faults`."""
    ((last,),) = ask("SELECT coalesce(max(k),0) FROM chunk", ())
    low: list[Undercount] = []
    for begin in range(0, last + 1, _RANGE_KEYS):
        end = min(begin + _RANGE_KEYS, last + 1)
        counted = _counted(ask, begin, end, last, faults if begin == 0 else [])
        for key, id_, refs, state in ask("SELECT k,id,refs,state FROM chunk WHERE k>=? AND k<?", (begin, end)):
            found, counted[key - begin] = counted[key - begin], 0
            if found > refs:
                low.append(Undercount(key, id_, found - refs))
            if len(faults) < FAULTS_MAX and (found != refs or (refs > 0) != (state == 0)):
                faults.append(f"references to chunk {key} in state {state}: {refs} counted, {found} there")
        gone = [begin + n for n, found in enumerate(counted) if found]
        faults += (f"a body lists chunk {key}, which isn't there" for key in gone[:FAULTS_MAX])
    return low


def _counted(ask: Ask, begin: int, end: int, last: int, faults: list[str]) -> "array[int]":
    counted = array("I", bytes(4 * (end - begin)))
    for key, packed in ask("SELECT k,chunks FROM body", ()):
        # A page that stands in another's place has rows of another table, and SQLite gives what it finds.
        if not isinstance(packed, bytes) or len(packed) % 8:
            faults.append(f"the list of chunks of body {key} is cut off, or isn't one")
            continue
        chunks = unpack_keys(packed)
        for chunk in chunks:
            if begin <= chunk < end:
                counted[chunk - begin] += 1
        if chunks and (max(chunks) > last or min(chunks) < 0):
            faults.append(f"body {key} lists a chunk that isn't there")
    for (base,) in ask("SELECT base FROM chunk WHERE base>=? AND base<?", (begin, end)):
        counted[base - begin] += 1
    return counted
