"""Pure decisions: data and `now` in, a decision out. No clock, no I/O, no thread, no log."""
