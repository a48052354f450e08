"""Golden bytes of what lies on disk."""
