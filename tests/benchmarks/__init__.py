"""Tests of the benchmarks: that their arithmetic is right and that every workload runs; no figure decides a test."""
