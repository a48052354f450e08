"""Tests of the daemon, in the tree of its modules."""
