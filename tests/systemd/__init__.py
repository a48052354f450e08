"""The units as shipped, under a real systemd as PID 1."""
