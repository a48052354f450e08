"""THE table of verbs: what can be said to `ckptctl`, how it is explained, and which function answers.

A verb is a name (two words for administration), a sentence, examples, its own parameters and a function of the session.
What every verb takes (`--json`, `--timeout`, ...) is added by `program`; `docs/CLI_JSON_OUTPUT.md` has what each
answers as JSON.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import click
from typing_extensions import override

from ckptclient.wire.params import SCRUB_ACTS, TYPES
from ckptd.ctl import (
    checkpoints,
    completing,
    configuration,
    drilling,
    events,
    explaining,
    exporting,
    health,
    history,
    importing,
    keeping,
    moments,
    payloads,
    processes,
    rebuilding,
    restoring,
    sending,
    stores,
    verifying,
)
from ckptd.ctl.answer import Answer
from ckptd.ctl.backup import verbs as backups
from ckptd.ctl.completing import CHECKPOINT, EITHER, PROCESS, TOPIC
from ckptd.ctl.original import verb as original
from ckptd.ctl.selftest import verb as selftest
from ckptd.ctl.selftest.verb import TIERS as SELFTEST_TIERS
from ckptd.ctl.top import rows as top_rows, verb as live
from ckptd.store.export.writing import LEVEL

Runs = Callable[..., Answer | Iterator[Answer]]


@dataclass(frozen=True, slots=True)
class Verb:
    """One row. `table`: it answers with one, and takes its options; `watch`: it can be asked again and again."""

    name: str
    help: str
    examples: tuple[str, ...]
    run: Runs
    params: tuple[click.Parameter, ...] = ()
    table: bool = False
    watch: bool = False

    @property
    def own_options(self) -> frozenset[str]:
        """Names of its parameters, which go before those that every verb takes."""
        return frozenset(param.name for param in self.params if param.name)


class Duration(click.ParamType[float]):
    """`5`, `5s`, `1.5 h`; seconds."""

    name = "duration"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return moments.seconds(value)
        except ValueError:
            self.fail(f"{value} is no length of time, as 5, 5s or '2 h' are", param, ctx)


def _one(name: str, kind: click.ParamType[str] | None = None, *, required: bool = True) -> click.Argument:
    return click.Argument([name], type=kind, required=required)


def _many(name: str, kind: click.ParamType[str]) -> click.Argument:
    return click.Argument([name], type=kind, required=True, nargs=-1)


def _format() -> click.Option:
    return click.Option(
        ["--format", "as_"],
        type=click.Choice(payloads.FORMATS),
        default="raw",
        show_default=True,
        help="raw: byte for byte; json: the value in words; npz: its arrays.",
    )


def _flag(name: str, words: str, *more: str) -> click.Option:
    return click.Option([name, *more], is_flag=True, help=words)


def _limit(default: int) -> click.Option:
    return click.Option(
        ["--limit"], type=click.IntRange(0), default=default, show_default=True, help="At most so many; 0 shows all."
    )


_STATES = click.Choice(processes.STATES)
_TYPES = click.Choice(TYPES)
_STATUSES = click.Choice(checkpoints.STATUSES)
_BACKUP = click.Option(["--backup", "name"], help="Its name or the beginning of it; else the newest.")
_DRY_RUN = ("--dry-run", "Say what would be done, and don't.")
_YES = ("--yes", "Do it without asking.")

# fmt: off
VERBS: Final[tuple[Verb, ...]] = (
    Verb("status", "The daemon, its store and what runs now, on one screen.",
        ("ckptctl status", "ckptctl status --watch", "ckptctl status --json | jq .at_risk_worst"),
        stores.status, table=True, watch=True),
    Verb("top", "What goes on, live: progress, speed, what a crash would cost; piped, one picture.",
        ("ckptctl top", "ckptctl top --filter 'user:anna state:running'", "ckptctl top --json | jq .saves_per_second"),
        live.top,
        (click.Option(["--sort", "by"], type=click.Choice(top_rows.SORTS), metavar="COLUMN", default=top_rows.SORTS[0], show_default=True, help=f"By one of {', '.join(top_rows.SORTS)}."),
         click.Option(["--filter", "filter_"], default="", help="Only those with these words; user:, state:, task: look in one field."),
         click.Option(["--completed"], is_flag=True, help="Completed ones too."),
         click.Option(["--every"], type=Duration(), default="1s", show_default=True, help="How often to look."))),
    Verb("health", "The health score, what lowers it, and what would raise it.",
        ("ckptctl health", "ckptctl health --explain", "ckptctl health --fail-below 80", "ckptctl health --nagios"),
        health.health,
        (_flag("--explain", "Every component with its value, threshold and points."),
         click.Option(["--fail-below"], type=click.IntRange(0, 100), help="Exit with 14 where the score is lower."),
         _flag("--nagios", "One line and the exit code, as a monitoring plugin has them.")),
        watch=True),
    Verb("ps", "Processes, those first that would lose most by a crash now.",
        ("ckptctl ps", "ckptctl ps --state interrupted --state failed", "ckptctl ps --watch=5s", "ckptctl ps --columns process,progress --sort -progress"),
        processes.ps,
        (click.Option(["--state"], type=_STATES, metavar="STATE", multiple=True, help=f"Only those in this state: {', '.join(processes.STATES)}; may be said again."),
         click.Option(["--task"], help="Only those of this task."), _limit(200)),
        table=True, watch=True),
    Verb("show", "Everything about one process or checkpoint.",
        ("ckptctl show etl-nightly", "ckptctl show etl-nightly@latest", "ckptctl show anna/train@17 --json"),
        checkpoints.show, (_one("id", EITHER),)),
    Verb("ls", "Checkpoints, newest first; of one process, or all.",
        ("ckptctl ls etl-nightly", "ckptctl ls --since 2h --type model_state", "ckptctl ls --sort -stored --limit 0"),
        checkpoints.ls,
        (_one("process", PROCESS, required=False),
         click.Option(["--type", "kind"], type=_TYPES, metavar="TYPE", help=f"Only of this type: {', '.join(TYPES)}."),
         click.Option(["--tag"], help="Only with this tag."),
         click.Option(["--status"], type=_STATUSES, metavar="STATUS", help=f"Only with this status: {', '.join(checkpoints.STATUSES)}."),
         click.Option(["--task"], help="Only of this task."),
         click.Option(["--since"], help='Only made since then: "2h" ago, or a time.'),
         click.Option(["--until"], help="Only made until then."),
         _flag("--trash", "Those in the trash."), _limit(100)),
        table=True, watch=True),
    Verb("results", "A process's result journal: what each item gave, and which failed.",
        ("ckptctl results etl-nightly --failed", "ckptctl results etl-nightly --json --limit 0 | jq '.records[].result'"),
        processes.results_of,
        (_one("process", PROCESS), _flag("--failed", "Only items that failed."),
         click.Option(["--after"], type=click.IntRange(-1), default=-1, help="Only records behind this position."), _limit(100)),
        table=True),
    Verb("cat", "A part of a checkpoint to stdout: byte for byte, as JSON or as NumPy's .npz.",
        ("ckptctl cat backup@latest db.sqlite > db.sqlite", "ckptctl cat etl-nightly@7 --format json", "ckptctl cat train@17 state --format npz > state.npz"),
        payloads.cat,
        (_one("id", CHECKPOINT), _one("part", required=False), _format())),
    Verb("restore", "Every part of a checkpoint as a file in a directory, or every value as JSON or .npz.",
        ("ckptctl restore etl-nightly@latest ./out", "ckptctl restore train@17 ./out --force --format npz"),
        restoring.restore,
        (_one("id", CHECKPOINT), click.Argument(["directory"], type=click.Path()), _flag("--force", "Overwrite files that are there."), _format())),
    Verb("put", "Save files as a checkpoint, each a part under its file name.",
        ("ckptctl put backup db.sqlite settings.toml", "ckptctl put backup db.sqlite --ttl '7 d' --tag nightly"),
        sending.put,
        (_one("process", PROCESS), click.Argument(["files"], type=click.Path(), nargs=-1, required=True),
         click.Option(["--type", "kind"], type=_TYPES, metavar="TYPE", default="custom", show_default=True, help=f"One of {', '.join(TYPES)}."),
         click.Option(["--task"], help="The task that it belongs to."),
         click.Option(["--description"], default="", help="A sentence about it."),
         click.Option(["--tag"], multiple=True, help="A tag; may be said again."),
         click.Option(["--ttl"], help='How long it is kept, as "12 h"; else as the daemon is configured.'))),
    Verb("export", "One checkpoint as one file, for a colleague or another node; docs/read_export.py reads it without ckptd.",
        ("ckptctl export train@latest train.export", "ckptctl export anna/etl@17 etl.export --force --level 12"),
        exporting.export,
        (_one("id", CHECKPOINT), click.Argument(["file"], type=click.Path()), _flag("--force", "Overwrite a file that is there."),
         click.Option(["--level"], type=click.IntRange(0, 19), default=LEVEL, show_default=True, help="Of zstd: 19 for the smallest file, 0 not to compress."))),
    Verb("import", "Make a checkpoint of an export file; a second import of it finds the first.",
        ("ckptctl import train.export", "ckptctl import train.export --process train-copy --ttl '30 d'"),
        importing.import_,
        (click.Argument(["file"], type=click.Path()),
         click.Option(["--process"], help="Of which process; else of the one that the file names, unless a worker of yours had it."),
         click.Option(["--ttl"], default="7 d", show_default=True, help="How long it is kept from now."))),
    Verb("import-original", "Import the store of the library that this one replaces: checkpoints.db and pickles.",
        ("ckptctl import-original /srv/checkpoints --allow-pickle --dry-run", "ckptctl import-original /srv/checkpoints --allow-pickle --ttl '30 d'"),
        original.import_original,
        (click.Argument(["directory"], type=click.Path()), _flag("--allow-pickle", "Read pickles; each as plain data, in a process that can reach nothing."),
         click.Option(["--ttl"], default="7 d", show_default=True, help="How long they are kept from now, where they wouldn't be longer."), _flag(*_DRY_RUN)), table=True),
    Verb("drill", "Read the newest checkpoint of each process whole, now, as a recovery would read it.",
        ("ckptctl drill", "ckptctl drill etl-nightly --json | jq .damaged_count"),
        drilling.drill, (_one("process", PROCESS, required=False),), table=True),
    Verb("verify", "Read a checkpoint, or everything that is stored, now, and compare it with what was written.",
        ("ckptctl verify", "ckptctl verify train@latest", "ckptctl verify --deep --store /mnt/copy --json | jq .findings[]"),
        verifying.verify,
        (_one("id", CHECKPOINT, required=False), _flag("--deep", "Decode every chunk too, and compare indexes with tables.")), table=True),
    Verb("scrub", "What is damaged, and how far the look at everything is that goes on by itself; start, pause or resume it, or repair.",
        ("ckptctl scrub", "ckptctl scrub start", "ckptctl scrub repair --from /srv/backup"),
        verifying.scrub,
        (click.Argument(["act"], type=click.Choice(SCRUB_ACTS), required=False),
         click.Option(["--from", "from_"], type=click.Path(), help="The backup that has good copies of what is damaged.")), table=True),
    Verb("rebuild-catalog", "Make a new store from the packs of one whose catalog is lost. Asks no daemon.",
        ("ckptctl rebuild-catalog /var/lib/ckptd --into /var/lib/ckptd-rebuilt",),
        rebuilding.rebuild_catalog,
        (click.Argument(["path"], metavar="STORE", type=click.Path()),
         click.Option(["--into"], type=click.Path(), required=True, help="Where the new store shall lie: nothing may be there.")), table=True),
    Verb("expire", "Put checkpoints into the trash, from where the cleanup takes them.",
        ("ckptctl expire train@17 --dry-run", "ckptctl expire train@17 train@18 --yes"),
        checkpoints.expire, (_many("ids", CHECKPOINT), _flag(*_DRY_RUN), _flag(*_YES))),
    Verb("revive", "Take checkpoints out of the trash; ls --trash lists them.",
        ("ckptctl revive train@17",), checkpoints.revive, (_many("ids", CHECKPOINT),)),
    Verb("pin", "Exempt checkpoints from retention.",
        ("ckptctl pin train@latest",), checkpoints.pin, (_many("ids", CHECKPOINT),)),
    Verb("unpin", "Let pinned checkpoints expire again.",
        ("ckptctl unpin train@17",), checkpoints.unpin, (_many("ids", CHECKPOINT),)),
    Verb("archive", "Move checkpoints of completed processes to the archive, where they stay listed and loadable.",
        ("ckptctl archive train@17",), checkpoints.archive, (_many("ids", CHECKPOINT),)),
    Verb("unarchive", "Bring archived checkpoints back into the store, to stay.",
        ("ckptctl unarchive train@17",), checkpoints.unarchive, (_many("ids", CHECKPOINT),)),
    Verb("fence", "End a worker's right to write, by raising its process's epoch.",
        ("ckptctl fence etl-nightly --dry-run", "ckptctl fence etl-nightly --yes"),
        processes.fence, (_one("process", PROCESS), _flag(*_DRY_RUN), _flag(*_YES))),
    Verb("stop", "Ask a process's worker to save and stop after the item in hand.",
        ("ckptctl stop etl-nightly && ckptctl wait etl-nightly --for interrupted",),
        processes.stop, (_one("process", PROCESS),)),
    Verb("wait", "Wait until a process is in a state; --timeout bounds it, else it has no end.",
        ("ckptctl wait etl-nightly --for completed --timeout '2 h'", "ckptctl wait etl-nightly --for completed --for failed"),
        processes.wait,
        (_one("process", PROCESS),
         click.Option(["--for", "for_"], type=_STATES, metavar="STATE", multiple=True, required=True, help=f"One of {', '.join(processes.STATES)}; said again, any of them."),
         click.Option(["--timeout"], type=Duration(), help="How long to wait at most."))),
    Verb("events", "What happened: registrations, recoveries, deaths, ends.",
        ("ckptctl events --since 1h", "ckptctl events etl-nightly --follow", "ckptctl events -f --json | jq .events[]"),
        events.events,
        (_one("process", PROCESS, required=False),
         click.Option(["--since"], help='Since then: "2h" ago, a time, or an event\'s number.'),
         _limit(100), _flag("--follow", "Go on with what happens.", "-f")),
        table=True),
    Verb("history", "A process's life as a time line: registered, saves, deaths, recoveries, speed.",
        ("ckptctl history etl-nightly", "ckptctl history anna/train --json | jq .moments[]"),
        history.history,
        (_one("process", PROCESS),
         click.Option(["--limit"], type=click.IntRange(0), default=10_000, show_default=True, help="Look at so many of the newest checkpoints; 0 at all.")),
        table=True),
    Verb("cleanup", "Expire what is due and give its space back, now.",
        ("ckptctl cleanup", "ckptctl cleanup --dry-run", "ckptctl cleanup --confirm-clock"), keeping.cleanup,
        (_flag(*_DRY_RUN), _flag("--confirm-clock", "The wall clock is right: go on by it."),
         _flag("--confirm-policy", "The retention settings are meant: go on by them.")), table=True),
    Verb("backup run", "Copy what is new of the store to a directory that holds its backups; with the daemon up or down.",
        ("ckptctl backup run /mnt/backup/ckptd", "ckptctl backup run /mnt/backup/ckptd --keep 30 --json", "ckptctl backup run /mnt/backup/ckptd --store /var/lib/ckptd"),
        backups.run,
        (_one("destination", click.Path()),
         click.Option(["--keep"], type=click.IntRange(1), default=7, show_default=True, help="How many backups are kept there, the newest."))),
    Verb("backup ls", "The backups in a directory, newest first. Asks no daemon.",
        ("ckptctl backup ls /mnt/backup/ckptd",),
        backups.ls, (_one("destination", click.Path()),), table=True),
    Verb("backup verify", "Whether a backup is whole, and what isn't. Asks no daemon.",
        ("ckptctl backup verify /mnt/backup/ckptd", "ckptctl backup verify /mnt/backup/ckptd --deep", "ckptctl backup verify /mnt/backup/ckptd --drill"),
        backups.verify,
        (_one("destination", click.Path()), _BACKUP,
         _flag("--deep", "Read every byte of it, and check each chunk."),
         _flag("--drill", "Restore it on trial, and read every process's newest checkpoint down to its decoded bytes."),
         click.Option(["--scratch"], type=click.Path(), help="Where to restore it on trial; else among temporary files."))),
    Verb("backup restore", "Make a store of a backup, in an empty directory, with a lineage of its own. Asks no daemon.",
        ("ckptctl backup restore /mnt/backup/ckptd /var/lib/ckptd", "ckptctl backup restore /mnt/backup/ckptd ./store --backup 20260102T030405Z-1a2b3c4d"),
        backups.restore, (_one("source", click.Path()), click.Argument(["directory"], type=click.Path()), _BACKUP)),
    Verb("config show", "The settings that count, each with where it comes from.",
        ("ckptctl config show", "ckptctl config show --changed"),
        configuration.show, (_flag("--changed", "Only those that aren't at their default."),), table=True),
    Verb("config check", "Whether a configuration can be used: every problem at once. Asks no daemon.",
        ("ckptctl config check", "ckptctl config check ./ckptd.toml"),
        configuration.check,
        (click.Argument(["file"], required=False, type=click.Path()), _flag("--private", "As a private daemon would read it."))),
    Verb("config reload", "Have the daemon read its configuration again.",
        ("ckptctl config reload",), configuration.reload),
    Verb("selftest crash", "Whether what is acknowledged survives on this disk: a store of its own is killed and taken apart.",
        ("ckptctl selftest crash --store /var/lib", "ckptctl selftest crash --store /mnt/new --points 200 --tier kill"),
        selftest.crash,
        (click.Option(["--store"], required=True, type=click.Path(), metavar="DIR", help="A directory on the disk in question; what is made in it is removed."),
         click.Option(["--points"], type=click.IntRange(1, 100_000), default=20, show_default=True, help="So many kills, and 20 acts and twice as many that are traced."),
         click.Option(["--tier"], type=click.Choice(SELFTEST_TIERS), multiple=True, help="Only this one: kill needs nothing, replay needs strace."),
         click.Option(["--seed"], type=click.IntRange(0), help="Repeat what an earlier run drew."))),
    Verb("explain", "An error code, an exit code or a setting at length. Asks no daemon.",
        ("ckptctl explain", "ckptctl explain NO_SPACE", "ckptctl explain store.limit", "ckptctl explain 7"),
        explaining.explain, (_one("topic", TOPIC, required=False),)),
    Verb("completion", "The script that makes a shell complete verbs, options and ids.",
        ('eval "$(ckptctl completion bash)"', "ckptctl completion zsh > ~/.zfunc/_ckptctl", "ckptctl completion fish | source"),
        completing.completion, (_one("shell", click.Choice(["bash", "zsh", "fish"])),)),
    Verb("version", "Which release this is. Asks no daemon.",
        ("ckptctl version", "ckptctl version --json"), stores.version),
)
# fmt: on

GROUPS: Final[Mapping[str, str]] = {
    "backup": "The store's backups: run, ls, verify, restore.",
    "config": "The daemon's configuration: show, check, reload.",
    "selftest": "The store's promises, tried on this machine: crash.",
}
"""First words of the verbs that have two."""

MEANT: Final[Mapping[str, str]] = {
    "list": "ls",
    "snapshots": "ls",
    "get": "ps",
    "jobs": "ps",
    "htop": "top",
    "describe": "show ID",
    "info": "show ID",
    "inspect": "show ID",
    "logs": "events",
    "timeline": "history PROCESS",
    "forget": "expire ID",
    "delete": "expire ID",
    "rm": "expire ID",
    "undelete": "revive ID",
    "undo": "revive ID",
    "prune": "cleanup",
    "gc": "cleanup",
    "save": "put PROCESS FILE",
    "dump": "cat ID PART",
    "extract": "restore ID DIR",
    "kill": "stop PROCESS",
    "cancel": "stop PROCESS",
    "takeover": "fence PROCESS",
    "check": "verify",
    "fsck": "verify",
    "quarantine": "scrub",
    "reload": "config reload",
    "settings": "config show",
    "help": "--help",
}
"""Words of other tools, and the verb that somebody who says them looks for. They do nothing: one verb, one meaning."""
