"""Bytes to calls and back: listener, session, dispatch, and the one table of methods."""
