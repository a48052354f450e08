"""`make demo`: eight workers measure every Python source file, are killed at random with their daemon, and lose nothing.

How it goes: `corpus` lists the files; `worker` measures its share of them, plainly or under ckptd; `crew` starts the
daemon and the workers, and starts again what was killed; `killer` kills by the `plan`; `view` shows it; `verify`
compares with the run that nobody interrupted. `tally` is how the demo itself counts, without asking ckptd.
"""
