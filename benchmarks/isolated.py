"""One workload against one peer in an interpreter of its own, so that nothing of one run is left over for the next.

`python -m benchmarks.isolated WORKLOAD PEER DIRECTORY SCALE` writes one JSON object as its last line.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import probe
from benchmarks.peers import PEERS
from benchmarks.peers.interface import Place
from benchmarks.workloads import WORKLOADS

TRAVERSABLE = 0o711  # a server that runs as its own user reaches its directories through this one


def measure(workload_name: str, peer_name: str, data: Path, scale: float) -> dict[str, float]:
    """Start the peer in an empty directory, measure, stop it and remove the directory."""
    workload = WORKLOADS[workload_name]
    home = Path(tempfile.mkdtemp(prefix=f"{peer_name}-{workload_name}-", dir=data))
    home.chmod(TRAVERSABLE)
    store, scratch = home / "store", home / "scratch"
    store.mkdir()
    scratch.mkdir()
    peer = PEERS[peer_name](Place(store, scratch, workload.history))
    try:
        speed = probe(home)
        peer.start()
        return speed | workload.measure(peer, scale)
    finally:
        if peer.server is not None:
            peer.server.stop()
        shutil.rmtree(home)


if __name__ == "__main__":
    name, against, directory, length = sys.argv[1:]
    figures = measure(name, against, Path(directory), float(length))
    print(json.dumps({field: round(float(value), 5) for field, value in figures.items()}))
