"""The peers by name, in the order in which they run and are shown: ckptd first, which the others are put beside."""

from benchmarks.peers.archivers import Borg, FineBorg, Restic
from benchmarks.peers.ckptd import Ckptd
from benchmarks.peers.files import Files, ZstdFiles
from benchmarks.peers.interface import Peer
from benchmarks.peers.postgres import Postgres
from benchmarks.peers.redis import Redis
from benchmarks.peers.sqlite import Sqlite

PEERS: dict[str, type[Peer]] = {
    "ckptd": Ckptd,
    "sqlite": Sqlite,
    "redis": Redis,
    "postgres": Postgres,
    "files": Files,
    "zstd-files": ZstdFiles,
    "restic": Restic,
    "borg": Borg,
    "borg-fine": FineBorg,
}

KEEPERS = frozenset(("zstd-files", "restic", "borg", "borg-fine"))
"""Peers that are there for what they keep many versions in; other workloads than those that ask for them are not theirs."""
