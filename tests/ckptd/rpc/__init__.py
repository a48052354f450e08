"""Tests of the daemon's edge, over real sockets."""
