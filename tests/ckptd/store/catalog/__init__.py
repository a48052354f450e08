"""The catalog: one suite for its backends, and what only SQLite can do wrong."""
