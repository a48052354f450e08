"""The release, for both packages of the distribution; a test compares it with the distribution's own."""

__version__ = "0.1.0"
