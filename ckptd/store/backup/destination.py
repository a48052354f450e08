"""The directory that holds the backups of one store: what lies where, what counts, and what may go.

lock                        held by who writes here
manifests/NAME.json         what makes a backup one
catalogs/NAME.db            its copy of the catalog
packs/PACK.pack, .json      each pack once, and the note of how much of it was verified
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ckptclient.errors import Busy, CkptdError, Conflict, Damaged, NotFound, Unavailable, VersionMismatch
from ckptd.store import durable
from ckptd.store.backup import layout
from ckptd.store.backup.layout import Manifest, PackCopy
from ckptd.store.elsewhere import elsewhere

_DIRECTORIES = ("manifests", "catalogs", "packs")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A manifest that can't be believed, and why."""

    name: str
    why: CkptdError


class Destination:
    """Where backups lie; nothing is read or made before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Make what is missing, and keep others from writing here until the block ends. Busy where somebody does."""
        with elsewhere(self.path):
            # The parent must be there: a path that is mounted would else be made on the disk under it.
            durable.make_directory(self.path)
            for name in _DIRECTORIES:
                durable.make_directory(self.path / name)
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, durable.FILE_MODE)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                raise Busy(f"another backup is being written to {self.path}", hint="wait for it") from None
        try:
            yield
        finally:
            os.close(fd)

    def listing(self) -> tuple[Sequence[Manifest], Sequence[Unreadable]]:
        """Complete backups, newest first, and manifests that can't be read. Unavailable where this is no destination."""
        found: list[Manifest] = []
        bad: list[Unreadable] = []
        with elsewhere(self.path):
            directory = self.path / "manifests"
            if not directory.is_dir():
                raise Unavailable(
                    f"there are no backups at {self.path}", hint="name the directory that ckptctl backup run was given"
                )
            for file in sorted(directory.iterdir(), reverse=True):
                name = file.name.removesuffix(".json")
                if not layout.is_backup_name(name) or not file.name.endswith(".json"):
                    continue
                try:
                    manifest = layout.parse_manifest(file.read_bytes())
                    if manifest.name != name:
                        raise Damaged(f"the manifest {name} is that of {manifest.name}")
                except (Damaged, VersionMismatch) as error:
                    bad.append(Unreadable(name, error))
                else:
                    found.append(manifest)
        return found, bad

    def backup(self, name: str | None) -> Manifest:
        """One backup by its name or the beginning of it; without, the newest."""
        found, bad = self.listing()
        if name is None:
            if not found:
                raise (
                    Damaged(f"no backup at {self.path} can be read: {bad[0].why.message}")
                    if bad
                    else NotFound(f"there is no complete backup at {self.path}", details={"what": "backup"})
                )
            return found[0]
        for one in bad:
            if one.name == name:
                raise one.why
        chosen = [one for one in found if one.name.startswith(name)]
        if len(chosen) != 1:
            raise NotFound(
                f"{len(chosen) or 'no'} backups at {self.path} begin with {name}",
                hint=f"ckptctl backup ls {self.path}",
                details={"what": "backup"},
            )
        return chosen[0]

    def catalog(self, name: str) -> Path:
        """A backup's copy of the catalog."""
        return self.path / "catalogs" / f"{name}.db"

    def pack(self, name: str) -> Path:
        """A pack's copy."""
        return self.path / "packs" / name

    def note(self, name: str) -> PackCopy | None:
        """How much of a pack was verified here; None where nothing was, or less is there than was."""
        try:
            copy = layout.parse_note(self._note(name).read_bytes())
            if copy.name != name or self.pack(name).stat().st_size < copy.bytes:
                return None
        except (FileNotFoundError, Damaged, VersionMismatch):
            return None
        return copy

    def write_note(self, copy: PackCopy) -> None:
        """So much of a pack is verified and synced; its name becomes durable by this too."""
        durable.publish(self._note(copy.name), layout.pack_note(copy))

    def publish(self, manifest: Manifest) -> Manifest:
        """Make a backup count; the manifest with its checksum."""
        raw = layout.pack_manifest(manifest)
        durable.publish(self._manifest(manifest.name), raw)
        return layout.parse_manifest(raw)

    def claim(self, store: str) -> None:
        """Conflict where backups of another store lie here."""
        found, _ = self.listing()
        for one in found:
            if one.store != store:
                raise Conflict(
                    f"{self.path} holds backups of another store ({one.store_path})", hint="name a directory of its own"
                )

    def tidy(self) -> None:
        """Remove what a crash left of catalogs; packs are gone on with."""
        manifests = self.path / "manifests"
        for file in manifests.glob(".*.draft"):
            durable.remove(file)
        known = {file.stem for file in manifests.iterdir()}
        for file in (self.path / "catalogs").iterdir():
            if file.name.partition(".")[0] not in known:
                durable.remove(file)

    def prune(self, keep: int) -> Sequence[str]:
        """Remove all but the newest `keep` backups, and packs that none of these needs; the names that went.

        Nothing goes where a manifest can't be read: what it needs isn't known.
        """
        found, bad = self.listing()
        if bad:
            return ()
        gone = found[keep:]
        for one in gone:
            # The manifest first: what is half removed must not count as a backup.
            durable.remove(self._manifest(one.name))
            durable.remove(self.catalog(one.name))
        needed = {pack.name for one in found[:keep] for pack in one.packs}
        for file in (self.path / "packs").iterdir():
            name = file.name.removesuffix(".json")
            if layout.is_pack_name(name) and name not in needed:
                with suppress(FileNotFoundError):
                    durable.remove(self._note(name))
                durable.remove(self.pack(name))
        return [one.name for one in gone]

    def _manifest(self, name: str) -> Path:
        return self.path / "manifests" / f"{name}.json"

    def _note(self, name: str) -> Path:
        return self.path / "packs" / f"{name}.json"
