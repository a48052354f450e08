"""What each error code means at length, for `ckptctl explain`; the codes themselves are `ckptclient.errors`'.

Each text says what happened, what did not, and what to do; it is read when something went wrong, often by somebody who
meets ckptd for the first time. A test holds that no code is without one.
"""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, str]] = {
    "INTERNAL": """
The daemon or the tool ran into a mistake of its own. Nothing of the request was applied, or its outcome is the same
as after a lost connection: repeating it is safe. The daemon's log has the traceback under the request's number
(journalctl -u ckptd). CKPTCTL_TRACEBACK=1 before a command shows that of the tool. Please report it.
""",
    "USAGE": """
The request is wrong in itself: a parameter is missing, unknown, of the wrong type or out of range, or a prefix names
more than one thing. The message names it, the hint what is accepted. Nothing was done; saying it again won't help.
""",
    "CONFIG": """
A setting can't be used. Every problem is listed in one go, each with its key, who said it (a file with its line, the
environment, a flag), what was said and what is accepted. A daemon that runs keeps its old configuration.

  ckptctl config check FILE      look at a file before the daemon does
  ckptctl explain KEY            what a setting is for
""",
    "ENCODING": """
A state can't be turned into bytes, or stored bytes are no state. When saving, the message has the path to the value
inside the state: turn it into plain data there, or register its class with ckptclient.register_type. When loading, a
class may be missing, or the checkpoint may hold files (ckptctl put) and no Python state.
""",
    "PARTIAL": """
Of several things some were done and some were not. The details list what was not done, and why; everything else was.
Repeating the whole is safe.
""",
    "NOT_FOUND": """
There is no process, checkpoint or part of that name, or none that you may see: a worker sees its own user's processes
only, an operator everybody's (as user/process). An expired checkpoint is in the trash for a while.

  ckptctl ps                     the processes
  ckptctl ls PROCESS             its checkpoints; --trash those in the trash
""",
    "DENIED": """
Your user or role may not do this. Workers touch the processes of their own user; the configuration and other users'
processes need the operator's role, which root has and whoever roles.operators names.

  ckptctl explain roles.operators
""",
    "FENCED": """
Somebody took the process over: its epoch is higher than the one this worker has. What this worker sends is refused
whole, so that two can't write over each other. It must stop; it can't win the process back except by registering again
(with takeover), which fences the other in turn. A fence can also be an operator's (ckptctl fence).
""",
    "CONFLICT": """
Things are not as the request expects: another checkpoint is the newest, the process is in a state that doesn't allow
it, the sequence of items is another than before, or a file is in the way. Nothing was changed. Look, then decide.

  ckptctl show PROCESS
""",
    "HELD": """
A live worker holds the process, and there can be only one. Wait until it ends, ask it to stop, or take the process
over: then the other is fenced and loses what it did not record.

  ckptctl show PROCESS           who holds it
  ckptctl stop PROCESS           ask it to save and stop
  ckptctl fence PROCESS          end its right to write
""",
    "UNREACHABLE": """
No daemon answers. The message lists where it was looked for, and why each place failed: no such file means that none
was started there, connection refused that one ended without cleaning up, permission denied that your user is not in
the socket's group (explain socket_group). The tool never starts one; a worker's library starts a private one.

  systemctl status ckptd         the node's daemon; start it with systemctl start ckptd
  ckptd --private                a daemon of your own, for as long as it is used
  --socket PATH, CKPTD_SOCKET    another socket; --store DIR the private daemon of a store
""",
    "UNAVAILABLE": """
A place outside of the store, where backups or archived checkpoints lie, can't be reached or used: it isn't mounted, it
isn't ours to write, or its disk fails. The message names it. The store itself is unharmed, and what waits for that
place (a deletion, a backup) is done when it is back.

  findmnt -T PATH                what is mounted there
""",
    "TIMEOUT": """
The answer did not come within the time limit (5 s, or --timeout). The act may still happen: read the state before you
act on it, or repeat it, which is safe. A daemon that is up and doesn't answer is restarted by its watchdog.
""",
    "UNKNOWN_OUTCOME": """
The answer to this request is no longer kept, so nobody can say whether it was applied; it was not applied again. This
takes more than 64 changes of one session in flight, or a day of silence. Read the state and go on from there.
""",
    "DAMAGED": """
Stored bytes don't verify against their checksum, and there is no good copy. They are never handed out. Recovery walks
back to the newest checkpoint that is whole by itself. Look at the disk (dmesg, smartctl): bytes don't change by
themselves.

  ckptctl ls PROCESS             older checkpoints
  ckptctl restore ID DIR         writes the parts that are whole, and names those that aren't
""",
    "NO_STORE": """
There is no store at this path, or it is not one. A daemon makes its own at its first start; an empty directory where a
store should be usually means that a file system is not mounted.
""",
    "BUSY": """
Too much at once, or somebody else is just doing the same. Nothing was applied. Wait a moment and say it again; the
client library does so by itself.
""",
    "DRAINING": """
The daemon is stopping or the node is being emptied: nothing new begins, what is under way ends. Wait for the restart,
or go to another node.
""",
    "NO_SPACE": """
The store's own limit or the file system is full, and the save was refused whole: the checkpoints that are there are
safe, reading and deleting go on. The message says how much is missing.

  ckptctl status                 how full it is
  ckptctl ls --limit 0 --sort -stored   what holds most
  ckptctl expire ID              put one into the trash
  ckptctl cleanup                expire what is due, and give space back
  ckptctl explain store.limit    the limit
""",
    "QUOTA": """
Your own share of the store is used up; others may still have room. Expire what you don't need, or ask an operator.
""",
    "READ_ONLY": """
The daemon reads its store and doesn't write it: its file system is mounted read-only, its modes forbid it, the store
failed five times in ten minutes, or the setting store.read_only says so. Nothing was changed by this request; if it was
sent once before, to a daemon that died, that daemon may have done it. Reading and restoring work. See to the cause and
restart the daemon: it then writes again, and counts failures anew.

  ckptctl status                 why
  ckptctl explain store.read_only
""",
    "UNHEALTHY": """
Health is below what was asked for. This is an answer, not a failure: the command worked.
""",
    "VERSION": """
Two releases don't understand each other: the protocol of the client or the format of the store is newer or older than
the daemon's. The message names both. Bring them to releases that overlap; a newer daemon reads older formats, an
older one never touches newer ones.
""",
    "PROTOCOL": """
What came over the socket is not the protocol: something else listens there, or one side has a bug. The connection was
closed; nothing after the bad bytes was read. See that the socket is ckptd's.
""",
}

EXITS: Final[Mapping[int, str]] = {
    0: "done; also nothing to do, and repeating what was done",
    1: "failed by a bug; please report",
    2: "wrong usage or configuration",
    3: "done in part: the details list what was not",
    4: "no such process, checkpoint or part",
    5: "not allowed for you",
    6: "a newer epoch or another holder owns it",
    7: "no daemon answers",
    8: "the time limit passed; the act may still happen",
    9: "damage found",
    10: "no store there",
    11: "busy; say it again",
    12: "wrong or missing key",
    13: "no space, or quota",
    14: "health below the asked level",
    15: "protocol or format too new or too old",
    130: "interrupted (Ctrl-C)",
    141: "the reader of the output went away",
    143: "terminated",
}
"""What the exit code of every verb means."""
