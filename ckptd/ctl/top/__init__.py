"""The verb `top`: what goes on, live.

`reading` asks the daemon, `rates` turns its counters into speeds, `rows` chooses and orders processes, `drawing` makes
lines of them for a screen of any size, `app` puts these on a terminal and hears keys. All but `app` know no terminal,
and only `app` loads textual. `verb` is the way in, and prints one picture where no terminal looks on.
"""
