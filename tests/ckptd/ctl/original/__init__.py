"""Tests of the import of the original's store."""
