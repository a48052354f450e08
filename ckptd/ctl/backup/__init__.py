"""The verbs of backups, which read the files of a store and of a destination themselves.

`verbs` is what the table of verbs names; `doing` loads the store's code, which takes as long as the rest of the tool,
and so only when one of them is said.
"""
