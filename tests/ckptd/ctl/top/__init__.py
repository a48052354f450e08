"""`ckptctl top`."""
