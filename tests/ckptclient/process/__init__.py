"""Tests of the handle: against a scripted daemon for what it decides, against a real one for what they do together."""
