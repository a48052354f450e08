"""Disks made for a test: loop devices, small and full file systems; each is given back whatever happens.

`Impossible` says why one can't be had here; a test skips with that.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

SIZES = {"ext4": "64M", "xfs": "320M"}
"""The least that each is made with, sparse."""


class Impossible(Exception):
    """The kernel, the user's rights or a missing program don't allow it."""


def needs(*programs: str) -> None:
    """Impossible unless we are root and these programs are here."""
    if os.geteuid():
        raise Impossible("mounting needs root")
    for one in programs:
        if shutil.which(one) is None:
            raise Impossible(f"{one} is not installed")


def run(command: Sequence[object]) -> str:
    """What a command says; Impossible where it fails."""
    words = [str(one) for one in command]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Impossible(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


@contextmanager
def mounted(what: object, point: Path, *options: str) -> Iterator[Path]:
    """Mount, and unmount at the end, lazily where something still holds it."""
    point.mkdir(exist_ok=True)
    run(["mount", *options, what, point])
    try:
        yield point
    finally:
        if subprocess.run(["umount", point], check=False, capture_output=True).returncode:
            subprocess.run(["umount", "-l", point], check=True)


@contextmanager
def tmpfs(point: Path, options: str) -> Iterator[Path]:
    """A small file system in memory."""
    needs("mount")
    with mounted("tmpfs", point, "-t", "tmpfs", "-o", options):
        yield point


def make_image(path: Path, kind: str, size: str = "", *options: str) -> Path:
    """A sparse image with an empty file system."""
    needs("mount", "losetup", f"mkfs.{kind}")
    run(["truncate", "-s", size or SIZES[kind], path])
    run([f"mkfs.{kind}", "-q", *options, path])
    return path


PAGE_OPTIONS = {"ext4": ("-b", "4096"), "xfs": ("-s", "size=4096")}
"""For file systems on a device of `looped(..., paged=True)`, which takes whole pages alone."""


@contextmanager
def looped(file: Path, *, paged: bool = False) -> Iterator[str]:
    """A loop device over a file; `paged`: it is asked for one page at a time.

    The kernel's loop driver answers that a write went well of which its file took only the first part. A request that
    is one page is taken whole or not at all, so that a device whose file is full fails, and doesn't lie.
    """
    device = run(["losetup", *(["--sector-size", "4096"] if paged else []), "-f", "--show", file])
    try:
        with _page_by_page(device) if paged else nullcontext():
            yield device
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


@contextmanager
def _page_by_page(device: str) -> Iterator[None]:
    longest = Path("/sys/block", Path(device).name, "queue/max_sectors_kb")
    before = longest.read_text(encoding="ascii")
    try:
        longest.write_text("4", encoding="ascii")
    except OSError as error:
        raise Impossible(f"{longest} can't be set: {error.strerror}") from error
    try:
        yield
    finally:
        longest.write_text(before, encoding="ascii")  # it outlasts the file


def fill(directory: Path, name: str = "filler") -> Path:
    """Take all the room that is left."""
    path = directory / name
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return path
