"""Periodic work; each loop runs by its last run's persisted time, so that a restart neither skips nor repeats it."""
