"""Tests of the log and the figures."""
