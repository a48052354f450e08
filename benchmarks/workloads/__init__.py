"""The workloads by name, in the order in which they run and are reported."""

from benchmarks.workloads.interface import Workload
from benchmarks.workloads.w1 import W1
from benchmarks.workloads.w4 import W4
from benchmarks.workloads.w5 import W5

WORKLOADS: dict[str, Workload] = {workload.name: workload for workload in (W1, W4, W5)}
