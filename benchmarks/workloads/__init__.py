"""The workloads by name, in the order in which they run and are reported: the peers' first, then ckptd's own."""

from benchmarks.workloads.connections import CONNECTIONS
from benchmarks.workloads.convoy import CONVOY
from benchmarks.workloads.cpu import CPU
from benchmarks.workloads.footprint import FOOTPRINT
from benchmarks.workloads.interface import Workload
from benchmarks.workloads.journal import JOURNAL
from benchmarks.workloads.progress import PROGRESS
from benchmarks.workloads.start import START
from benchmarks.workloads.states import STATES
from benchmarks.workloads.w1 import W1
from benchmarks.workloads.w2 import W2
from benchmarks.workloads.w4 import W4
from benchmarks.workloads.w5 import W5

_ALL = (W1, CPU, W2, W4, STATES, W5, PROGRESS, FOOTPRINT, START, JOURNAL, CONVOY, CONNECTIONS)
WORKLOADS: dict[str, Workload] = {workload.name: workload for workload in _ALL}
