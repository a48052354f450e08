"""The handle of one process, split by what it has to do: `handle` is the part that applications see.

`hold` (progress, saves, letting go) and `handle` (items, states) stand on `outbox` (everything in order to the daemon),
`live` (where the process stands), `loop` (turns), `sequence` (what is done already), `saving`, `restoring`, `journal`
and `stopping`. `member` is the handle in another OS process of the same work.
"""

from .handle import Process
from .hold import Hold, OnChange, Terms, Told
from .journal import JournalItems, Result, results
from .member import Member
from .outbox import OnUnavailable
from .restoring import Content
from .saving import Job, Saved, Stored, check_level, stored

__all__ = [
    "Content",
    "Hold",
    "Job",
    "JournalItems",
    "Member",
    "OnChange",
    "OnUnavailable",
    "Process",
    "Result",
    "Saved",
    "Stored",
    "Terms",
    "Told",
    "check_level",
    "results",
    "stored",
]
