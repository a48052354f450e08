"""Tests of `ckptclient`, module by module."""
