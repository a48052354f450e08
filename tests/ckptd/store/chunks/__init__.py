"""Tests of the chunk stores: one suite, run by each."""
