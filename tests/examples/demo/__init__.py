"""Tests of the demo's parts; the whole of it runs in `tests.examples.test_demo`."""
