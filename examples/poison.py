"""An item that kills its worker: after three attempts it is set aside as failed, and the work goes on.

What is watched for is a death with an item in hand. SIGKILL and SIGTERM don't count where the kernel tells the
reason, since they come from outside: the demo kills workers all the time, and no file of it is ever blamed.
"""

import os
import resource
import signal
import subprocess
import sys

from ckptclient import CheckpointManager

ITEMS = 20
POISON = 7
STARTS_MAX = 10


def work() -> None:
    """One start of the worker."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with CheckpointManager().process("poisoned", task_id="example", total_steps=ITEMS) as process:
        for number in process.track(range(ITEMS)):
            if number == POISON:
                os.abort()
            process.record(number, number * number)
        results = list(process.results())
    for result in results:
        if result.error is not None:
            print(f"item {result.item} failed: {result.error}")
    print(f"{sum(result.error is None for result in results)} items are done")


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        work()
    else:
        for start in range(1, STARTS_MAX + 1):
            ended = subprocess.run([sys.executable, __file__, "work"], check=False)
            if ended.returncode != -signal.SIGABRT:
                print(f"came to its end at start {start}")
                sys.exit(ended.returncode)
            print(f"start {start}: died by SIGABRT", flush=True)
        sys.exit(f"not done after {STARTS_MAX} starts")
