"""The peers by name, in the order in which they run and are shown: ckptd first, which the others are put beside."""

from benchmarks.peers.ckptd import Ckptd
from benchmarks.peers.files import Files
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
}
