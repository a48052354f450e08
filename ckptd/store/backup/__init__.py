"""Backups of a store at another place; owns the terms *backup*, *destination* and *drill*.

A destination is a directory that holds the backups of one store: for each a manifest and a copy of the catalog, and
for all of them together the packs. Packs only ever grow, and under random names, so that one copy of a pack serves
every backup that needs it or its beginning, and a backup copies what is new.

The order is that of a save: packs, each verified by reading it back, then the catalog, then the manifest under its
final name. Whatever has a manifest is whole; whatever a crash leaves has none, and the next run goes on from it. On the
way out the manifest goes first. `layout` has what is written, `destination` the directory, `running` makes a backup,
`verifying` reads one, `restoring` makes a store of it, and `drill` does that on trial.

Not for: holding packs in the store meanwhile (whoever runs it), when it runs (`loops`), or archived checkpoints.
"""

from ckptd.store.backup.destination import Destination
from ckptd.store.backup.drill import Drilled, drill
from ckptd.store.backup.layout import Manifest
from ckptd.store.backup.restoring import MARK, restore
from ckptd.store.backup.running import Made, Source, run
from ckptd.store.backup.verifying import verify

__all__ = ["MARK", "Destination", "Drilled", "Made", "Manifest", "Source", "drill", "restore", "run", "verify"]
