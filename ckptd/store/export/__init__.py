"""One checkpoint as one file of its own, to be mailed, archived and imported elsewhere; owns the term *export file*.

Self-contained: it names no chunk, pack or key of the store that it comes from, and the standard library, msgpack and
zstandard are enough to read and to check it (`docs/read_export.py`). `docs/FORMAT.md` has its bytes with their reasons.
Written and read as a stream in constant memory; a reader in place (`Placed`) finds a piece of a part without the rest.
Not for: getting a checkpoint out of a store or into one (the tool and the archive).
"""

from ckptd.store.export.layout import FRAME_BYTES, Description, ExportedPart
from ckptd.store.export.placing import Placed
from ckptd.store.export.reading import Reading, read_export
from ckptd.store.export.writing import write_export

__all__ = ["FRAME_BYTES", "Description", "ExportedPart", "Placed", "Reading", "read_export", "write_export"]
