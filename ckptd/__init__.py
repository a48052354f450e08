"""The checkpoint daemon: it owns the stored checkpoints, the process table and their upkeep."""
