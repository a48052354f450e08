"""Who is killed when, drawn from a seed before anything runs; pure.

A kill is due by the share of the work that is done, not by the clock: so the same seed makes the same plan on a fast
machine and a slow one, and all of it comes to pass.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

DAEMON = -1
"""The victim that is no worker."""
FIRST_SHARE, LAST_SHARE = 0.02, 0.85
MOMENT_SECONDS_MAX = 0.05
DAEMON_EVERY = 3
"""Of so many kills, one is the daemon's."""


@dataclass(frozen=True, slots=True, order=True)
class Kill:
    """One SIGKILL: due when `share` of all files are done and `moment_seconds` have passed; `victim` is a worker's
    number, or `DAEMON`."""

    share: float
    moment_seconds: float
    victim: int


def draw(seed: int, kills: int, workers: int) -> tuple[Kill, ...]:
    """The plan: `kills` of them in order, workers and the daemon both, and once a worker together with the daemon."""
    rng = random.Random(seed)
    step = (LAST_SHARE - FIRST_SHARE) / kills
    victims = [DAEMON if place % DAEMON_EVERY == 1 else rng.randrange(workers) for place in range(kills)]
    rng.shuffle(victims)
    plan = [
        Kill(FIRST_SHARE + step * (place + rng.random()), rng.random() * MOMENT_SECONDS_MAX, victim)
        for place, victim in enumerate(victims)
    ]
    both = next(
        (place for place in range(1, kills) if (plan[place - 1].victim == DAEMON) != (plan[place].victim == DAEMON)),
        None,
    )
    if both is not None:  # the hardest case is not left to chance
        plan[both] = Kill(plan[both - 1].share, plan[both - 1].moment_seconds, plan[both].victim)
    return tuple(plan)


def instead(victim: int, at_work: Sequence[int]) -> int | None:
    """The worker that is killed when the one in the plan has finished: the next that hasn't; None when all have."""
    return min(at_work, key=lambda worker: (worker < victim, worker), default=None)
