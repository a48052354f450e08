"""The demo's command line: run plainly, run again under ckptd while everything is killed, compare."""

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from examples.demo import corpus, plan, verify
from examples.demo.crew import Crew, Failed
from examples.demo.killer import Killer, Strike
from examples.demo.picture import Picture
from examples.demo.plan import Kill
from examples.demo.report import Run, report, verdict
from examples.demo.view import Shown, View, frame
from examples.demo.watch import Seen, Watch
from examples.demo.worker import PLAIN, PROTECTED, Task

STEP_SECONDS = 0.02
VIEW_SECONDS = 0.1
PICTURE_SHARE = 0.6
LATE_SECONDS = 600.0
PLAIN_COLUMNS = 120


def options(argv: Sequence[str]) -> argparse.Namespace:
    """What was asked for; ends the program with the usage where it can't be."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo",
        description="Workers measure every Python source file of this environment while they and their daemon are killed.",
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="repeat the kills of a former run")
    parser.add_argument("--workers", type=int, default=8, metavar="N", help="8 by default")
    parser.add_argument("--kills", type=int, default=12, metavar="N", help="12 by default")
    parser.add_argument("--files", type=int, default=0, metavar="N", help="only so many of the files (default: all)")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the store is made, on a real disk")
    parser.add_argument("--picture", type=Path, metavar="SVG", help="also draw the run")
    chosen = parser.parse_args(argv)
    for name in ("workers", "kills"):
        if getattr(chosen, name) < 1:
            parser.error(f"--{name} is {getattr(chosen, name)}; accepted: a number from 1 on")
    return chosen


@dataclass(slots=True)
class Stage:
    """What both runs share."""

    console: Console
    folder: Path
    workers: int
    passes: int
    picture: Picture | None

    def run(self, name: str, title: str, kills: Sequence[Kill]) -> tuple[Run, list[Strike], float]:
        """One run from start to end; under ckptd, with its kills and what it then has."""
        task = Task(self.folder, name, self.workers, self.passes)
        tally, shares = task.tally(), [len(task.files(worker)) for worker in range(self.workers)]
        with ExitStack() as stack:
            crew = stack.enter_context(Crew(task))
            watch = stack.enter_context(Watch(crew.socket)) if name == PROTECTED else None
            seen: Callable[[], Seen] = (lambda: watch.seen) if watch else Seen
            killer = Killer(kills, crew, tally, sum(shares), seen)
            begun_at = time.monotonic()
            shown = Shown(title, task, crew, tally, shares, killer.strikes, begun_at)
            with View(self.console, shown) as view:
                self._follow(crew, killer, view, seen, shown)
            seconds = time.monotonic() - begun_at
            outcome = verify.kept(task, crew.socket) if watch else verify.uninterrupted(task)
        return Run(title, outcome, seconds, tally.executed), killer.strikes, begun_at

    def _follow(self, crew: Crew, killer: Killer, view: View, seen: Callable[[], Seen], shown: Shown) -> None:
        view_at, drawn = 0.0, shown.task.name == PLAIN
        while True:
            now = time.monotonic()
            crew.tend()
            killer.step(now)
            over = crew.done()
            if over or now >= view_at:
                view_at = now + VIEW_SECONDS
                view.update(seen(), now)
            if self.picture and not drawn and shown.tally.position >= PICTURE_SHARE * shown.files:
                drawn = True
                self.picture.add(frame(shown, seen(), now))
            if over:
                return
            if now > shown.begun_at + LATE_SECONDS:
                raise Failed(f"not done after {LATE_SECONDS:g} s")
            time.sleep(STEP_SECONDS)


def demonstrate(chosen: argparse.Namespace, console: Console, folder: Path) -> int:
    """Both runs and the comparison; answers the exit status."""
    begun_at = time.monotonic()
    files = corpus.sample(corpus.sources(), chosen.files)
    passes = corpus.passes_for(len(files), chosen.kills)
    (folder / "files").write_text("\n".join(files))
    often = f", {passes} times each" if passes > 1 else ""
    console.print(f"{len(files):,} Python source files of this interpreter and its environment{often}", highlight=False)
    console.print(
        f"{chosen.workers} workers, {chosen.kills} kills, --seed {chosen.seed}; the store is under {folder}\n"
    )
    stage = Stage(console, folder, chosen.workers, passes, Picture() if chosen.picture else None)
    plain, _, _ = stage.run(PLAIN, "uninterrupted", ())
    kills = plan.draw(chosen.seed, chosen.kills, chosen.workers)
    protected, strikes, since = stage.run(PROTECTED, f"with {chosen.kills} kills", kills)
    differences = list(verify.differences(plain.outcome, protected.outcome))
    well, last = verdict(strikes, chosen.kills, differences)
    text = report((plain, protected), strikes, since)
    console.print(text, highlight=False)
    if stage.picture:
        stage.picture.add(text, f"[{'green' if well else 'red'}]{last}")
        stage.picture.write(chosen.picture)
    for difference in differences[:20]:
        console.print(difference, highlight=False)
    console.print(f"{time.monotonic() - begun_at:.0f} s altogether", highlight=False)
    console.print(last, style="green" if well else "red", highlight=False, soft_wrap=True)
    return 0 if well else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo in a folder of its own, which it takes away at the end."""
    chosen = options(sys.argv[1:] if argv is None else argv)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_COLUMNS
    folder = Path(tempfile.mkdtemp(prefix="ckptd-demo-", dir=chosen.folder))
    try:
        return demonstrate(chosen, console, folder)
    except Failed as error:
        console.print(f"failed: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("failed: interrupted", style="red")
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def leave(number: int, _frame: object) -> None:
    """End by a signal as by an error: what was started and made is taken away first."""
    sys.exit(128 + number)


if __name__ == "__main__":
    for ends in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ends, leave)
    sys.exit(main())
