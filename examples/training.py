"""A loop with state: a small model is trained, killed twice, and ends with exactly the weights of an unbroken training.

`track(..., state=model)` saves the model with the position in the loop. After a kill it puts back the last saved
model and does again what came after it, so that weights and results agree as if nothing had happened.
"""

import os
import random
import signal
import subprocess
import sys

from ckptclient import CheckpointManager

STEPS = 400
DEATHS = (150, 290)


def step(model: dict[str, list[float]], number: int) -> float:
    """One step of gradient descent on a line through noisy points; answers the loss."""
    rng = random.Random(number)
    x = rng.uniform(-1.0, 1.0)
    slope, offset = model["weights"]
    error = slope * x + offset - (3.0 * x - 1.0 + rng.gauss(0.0, 0.1))
    model["weights"] = [slope - 0.1 * error * x, offset - 0.1 * error]
    return error * error


def train(dies_at: int) -> None:
    """Train to the end, or to the step at which it dies."""
    model = {"weights": [0.0, 0.0]}
    with CheckpointManager().process("training", task_id="example", total_steps=STEPS) as process:
        for number in process.track(range(STEPS), state=model):
            if number == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            process.record(number, step(model, number))
        losses = [result.value for result in process.results()]
        print(f"{len(losses)} losses, weights {model['weights']}")


def unbroken() -> list[float]:
    """The same training in one go, without ckptd."""
    model = {"weights": [0.0, 0.0]}
    for number in range(STEPS):
        step(model, number)
    return model["weights"]


if __name__ == "__main__":
    if len(sys.argv) == 2:
        train(int(sys.argv[1]))
    else:
        for death in (*DEATHS, -1):
            ended = subprocess.run([sys.executable, __file__, str(death)], check=False)
            if ended.returncode != (-signal.SIGKILL if death in DEATHS else 0):
                sys.exit(f"ended with {ended.returncode}")
            print(f"killed at step {death}" if death in DEATHS else "came to its end", flush=True)
        print(f"unbroken:   weights {unbroken()}")
