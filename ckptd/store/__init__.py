"""Durability. Everything that is acknowledged has gone through here; only `durable` syncs and renames."""
