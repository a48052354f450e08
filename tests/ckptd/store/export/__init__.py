"""Tests of export files."""
