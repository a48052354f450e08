"""Programs that use ckptd: each runs in seconds, on its own, and CI runs all of them. Begin with `quick_start`."""
