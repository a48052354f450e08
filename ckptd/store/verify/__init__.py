"""Reading everything that a store holds and comparing it with what was written; owns the terms *verify* and *finding*.

`packs` reads packs record by record against the catalog, `lists` the bodies and checkpoints of the catalog against
themselves, `naming` says which checkpoints a damaged chunk hits, and `steps` goes through all of it in slices, for who
asks now. `mending` fetches good copies of what is damaged. Not for: keeping what was found (the catalog's quarantine), or
the pace (the service).
"""

from ckptd.store.verify.findings import Finding
from ckptd.store.verify.mending import Mended, Mending, mend
from ckptd.store.verify.naming import Hit, hit
from ckptd.store.verify.packs import PackCheck, Slice
from ckptd.store.verify.steps import FROM_START, STAGES, Cursor, Step, Verifier

__all__ = [
    "FROM_START",
    "STAGES",
    "Cursor",
    "Finding",
    "Hit",
    "Mended",
    "Mending",
    "PackCheck",
    "Slice",
    "Step",
    "Verifier",
    "hit",
    "mend",
]
