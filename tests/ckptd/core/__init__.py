"""The pure decisions, as tables and properties."""
