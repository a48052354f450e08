"""Periodic work: when it is done."""
