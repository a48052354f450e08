"""Everything that is stored, read and compared."""
