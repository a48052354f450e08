"""The store of the library that ckptd replaces, read once and imported; owns the terms *record* of it and *cell*.

That store is `checkpoints.db` (SQLite) with one file a checkpoint under `data/`: a pickle, mostly compressed with gzip.
A pickle runs what it names. So the files are read in a process of their own, the *cell*, which first gives up every
right but to compute and to answer (`locking`), and then takes plain data only (`plain`); what it answers is not believed
either (`cell`). `store` reads the records, `verb` is `ckptctl import-original`.
"""
