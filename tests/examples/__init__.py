"""Tests of the examples, of the demo, and that programs of the original system run under the new import lines."""
