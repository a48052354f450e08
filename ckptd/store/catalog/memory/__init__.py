"""A catalog in plain dictionaries: obviously right, for tests and as the model that the other backends are compared with.

Everything is found by looking at everything, nothing is counted ahead, and a transaction is a copy of it all. Not for:
keeping anything, speed, or more than one thread at a time.
"""

from ckptd.store.catalog.memory.writing import MemoryCatalog

__all__ = ["MemoryCatalog"]
