"""Recovery by hand, with the calls of the original: a worker dies at step 40, another goes on from there."""

import os
import signal
import subprocess
import sys

from ckptclient import CheckpointManager

PROCESS_ID = "interrupted_process_001"


def interrupted() -> None:
    """The worker that doesn't come to its end."""
    manager = CheckpointManager()
    manager.register_process(PROCESS_ID, "long_task", total_steps=100)
    for step in range(1, 41):
        manager.update_process_progress(PROCESS_ID, completed_steps=step, current_step=f"Processing step {step}")
    os.kill(os.getpid(), signal.SIGKILL)


def recover() -> None:
    """Take the process over and finish it."""
    manager = CheckpointManager()
    recovered = manager.recover_process(PROCESS_ID)
    if recovered is None:
        print("No checkpoint found for recovery")
        return
    print(f"Recovered process at {recovered.progress_percentage:.1f}% completion")
    print(f"Last step: {recovered.current_step}")
    print(f"Completed steps: {recovered.completed_steps}/{recovered.total_steps}")
    for step in range(recovered.completed_steps + 1, recovered.total_steps + 1):
        manager.update_process_progress(
            PROCESS_ID, completed_steps=step, current_step=f"Resumed processing step {step}"
        )
    manager.complete_process(PROCESS_ID, {"recovery": "successful"})
    print("Process completed after recovery")


if __name__ == "__main__":
    if sys.argv[1:] == ["interrupted"]:
        interrupted()
    subprocess.run([sys.executable, __file__, "interrupted"], check=False)
    recover()
