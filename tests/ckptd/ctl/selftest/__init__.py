"""The self-test's pieces."""
