"""Tests of the table of settings and what is made from it."""
