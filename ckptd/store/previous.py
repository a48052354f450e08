"""What a process saved last under the name of a part; owns the term *previous*.

That is where the base of a delta is looked for. An answer is a hint and no promise: whoever uses a chunk of it holds it
first and looks again. Not for: whether a delta pays (`encodings`).
"""

import threading
from collections.abc import Mapping, Sequence

from ckptclient.errors import Damaged, UnknownCheckpoint
from ckptd.core.ids import BodyKey, ProcessKey
from ckptd.core.manifest import unpack
from ckptd.store.catalog.interface import CatalogReader, ChunkRow


class Previous:
    """The newest checkpoint of a process, and the newest with a state, looked up when the first part asks.

    One serves one save, from any thread; each call brings the reader of its thread.
    """

    def __init__(self, process: ProcessKey | None) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._bodies: Mapping[str, Sequence[BodyKey]] | None = None
        self._rows: dict[str, Sequence[ChunkRow]] = {}

    def chunks(self, catalog: CatalogReader, name: str) -> Sequence[ChunkRow]:
        """The chunks of the part of that name, in order; none where there was no such part."""
        if self._process is None:
            return ()
        with self._lock:
            if name not in self._rows:
                if self._bodies is None:
                    self._bodies = _bodies(catalog, self._process)
                self._rows[name] = [row for body in self._bodies.get(name, ()) for row in catalog.body_chunks(body)]
            return self._rows[name]


def _bodies(catalog: CatalogReader, process: ProcessKey) -> Mapping[str, Sequence[BodyKey]]:
    """The bodies of each part: of the head first, and of what only an older state has, of that."""
    found: dict[str, Sequence[BodyKey]] = {}
    newest = catalog.candidates(process, with_state=False)[:1], catalog.candidates(process, with_state=True)[:1]
    for key in dict.fromkeys(key for some in newest for key in some):
        try:
            content = catalog.content(key)
            names = [part.name for part in unpack(content.manifest)]
        except (Damaged, UnknownCheckpoint):
            # A save needs no base, least of all one of a checkpoint that is damaged or gone since.
            continue
        for name, bodies in zip(names, content.bodies, strict=False):
            found.setdefault(name, bodies)
    return found
