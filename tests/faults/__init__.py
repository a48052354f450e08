"""Faults for real: a store's daemon while calls fail, disks fill, lie and break, and power goes, at every point.

    make faults                    # every tier, in the size that takes minutes
    make sweep                     # the fault sweep at each k
    python -m tests.faults --help

Each tier asserts that its fault happened, takes the workers' own synced notes as the truth, reads what is left with the
second reader (`ckptd.ctl.selftest.reading`), and is shown to be worth something by daemons that are broken on purpose
(`broken`). Where the kernel or the user's rights don't allow a tier, it is skipped by name with the reason.
"""
