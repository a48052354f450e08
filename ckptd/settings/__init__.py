"""The settings: the tree that the daemon works with, the kinds of values, and the table that all else is made from.

From the table come validation, the names in the environment, `ckptctl config show`, the reference and the example file.
Who adds a setting adds a row to `table` and a field to its section in `tree`. Not for: reading files and the
environment, which is `ckptd.config`.
"""
