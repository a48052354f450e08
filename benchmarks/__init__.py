"""Benchmarks: ckptd beside what a user would pick instead of it, on the same machine in the same run.

Not part of the distribution and not a test: nothing here decides whether a build is good. `docs/BENCHMARKS.md` says how
to run them, what is made equal between the peers and what is not; its tables are written by `python -m benchmarks report`.
"""
