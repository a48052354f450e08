"""Tests of the store: its files, its threads, its catalog."""
