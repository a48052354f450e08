"""The daemon's life: it takes the store, opens the door, says so, lives until it is told to stop, and leaves cleanly.

The order is the point. The store's lock comes first, because everything else trusts it; the store is whole before
anybody can ask for it, and only then is the manager told that we are ready. On the way out admission ends first, what
was admitted ends next, and the store is closed last. A failed sync is no way out: the process ends at once without a
word, is started again, and clients ask again under the same request ids.
Not for: assembling (`compose`), or the command line (`cli`).
"""

import asyncio
import gc
import itertools
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, NoReturn

import uvloop

from ckptclient.errors import ConfigError
from ckptclient.version import __version__
from ckptd import allocator, limits, sd
from ckptd.clock import Clock, SystemClock
from ckptd.compose import Assembled, compose
from ckptd.config import changes
from ckptd.errors import StoreFailed, StoreUnusable
from ckptd.observe import log
from ckptd.observe.failures import Failures, place
from ckptd.rpc.deaths import NAME_PREFIX, Deaths
from ckptd.rpc.dispatch import Dispatch
from ckptd.rpc.greeting import Welcome
from ckptd.rpc.hub import Hub, Ties
from ckptd.rpc.limits import Bounds
from ckptd.rpc.listener import Listener, adopt, bind
from ckptd.rpc.methods import methods
from ckptd.rpc.peer import Roles
from ckptd.service.caller import Caller
from ckptd.settings.tree import Config
from ckptd.store.medium import Medium, occupy

LOG = log.get(__name__)

EX_IOERR: Final = 74

_DESCRIPTORS_BESIDE_CONNECTIONS: Final = 256
"""For the store, the readers and the loop; a connection takes two: its socket and, once for each worker, a pidfd."""


def run(config: Config, read: Callable[[], Config], *, private: bool) -> int:
    """Serve until told to stop; `read` reads the configuration again. Raises StartRefused where it can't begin.

    A private daemon is one user's: he may have every connection, and it ends when its store is removed.
    """
    clock = SystemClock()
    log.configure(config.log.level, config.log.format, clock)
    # CPython's 5 ms is how long a thread that hashes would wait for a busy loop, at every call.
    sys.setswitchinterval(limits.switch_interval_seconds)
    allocator.settle()
    _raise_descriptor_limit(config)
    failures = Failures(place(config.socket, os.environ))
    medium = occupy(config.store.path)
    if medium.warning is not None:
        LOG.warning("the file system of the store keeps less than the promise", path=medium.path, why=medium.warning)
    read_only = _read_only(config, medium, failures.verdict(clock.now()))
    if read_only is not None:
        LOG.error("the store is read-only", why=read_only, hint="see to the cause and restart the daemon")

    def failed(why: StoreFailed) -> NoReturn:
        if not failures.note(clock.now(), str(why)):
            LOG.warning("the failure can't be counted", path=failures.path)
        fatal(why)

    daemon = Daemon(config, read, clock, medium, private=private, failed=failed, read_only=read_only)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(daemon.live())
    except StoreUnusable as refusal:
        failures.note(clock.now(), refusal.message)
        raise
    except StoreFailed as why:
        failed(why)
    finally:
        medium.release()
    failures.forget()
    return 0


def _read_only(config: Config, medium: Medium, failed: str | None) -> str | None:
    """Why this daemon shall not write: it is asked not to, it can't, or its store has failed too often."""
    if config.store.read_only:
        return "the setting store.read_only says so"
    return medium.unwritable or failed


def fatal(failed: StoreFailed) -> NoReturn:
    """End without a reply and without cleaning up: the outcome of what was in flight is unknown. From any thread."""
    LOG.error("the store failed", why=failed)
    sys.stderr.flush()
    os._exit(EX_IOERR)


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log a lost exception; asyncio's own way shows the callback with its arguments, and so what a peer sent."""
    LOG.error("the loop met a bug", what=context.get("message"), exc_info=context.get("exception"))


class Daemon:
    """One daemon, from a store that is ours to its end."""

    def __init__(
        self,
        config: Config,
        read: Callable[[], Config],
        clock: Clock,
        medium: Medium,
        *,
        private: bool,
        failed: Callable[[StoreFailed], None] = fatal,
        read_only: str | None = None,
    ) -> None:
        self._failed = failed
        self._read_only = read_only
        self._private = private
        self._config = config
        self._read = read
        self._clock = clock
        self._medium = medium
        self._listeners: list[Listener] = []
        self._told_to_stop = asyncio.Event()
        self._health = ""

    async def live(self) -> None:
        """From opening the store to its end."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_report)
        passed = sd.listen_fds()
        deaths = Deaths(loop, self._config.limits.connections_max, sd)
        deaths.take_over({name: passed.pop(name)[0] for name in tuple(passed) if name.startswith(NAME_PREFIX)})
        store = compose(
            lambda: self._config,
            self._clock,
            loop,
            workers=deaths,
            fatal=self._failed,
            reload=self._reload,
            read_only=self._read_only,
        )
        try:
            hub = self._hub(loop, store, deaths)
            await store.begin()
            deaths.let_go()
            self._listen(hub, itertools.chain.from_iterable(passed.values()))
            self._heed_signals(loop)
            await self._serve(hub, store)
            await store.end()
        finally:
            for listener in self._listeners:
                listener.close()
            store.close()
        LOG.info("stopped")

    def _hub(self, loop: asyncio.AbstractEventLoop, store: Assembled, deaths: Deaths) -> Hub:
        services = store.services
        bounds = self._config.limits

        def disconnected(caller: Caller) -> None:
            services.processes.disconnected(caller)
            services.saving.dropped(caller.connection)
            services.backing_up.dropped(caller.connection)

        hub = Hub(
            loop,
            Dispatch(methods(services, self._clock), self._read_only),
            deaths,
            Bounds(
                bounds.connections_max,
                bounds.operator_slots,
                bounds.requests_max,
                bounds.connection_bytes_max,
                bounds.write_deadline_seconds,
                user_share=1.0 if self._private else limits.user_share,
            ),
            Welcome(f"ckptd {__version__}", store.lineage, os.getpid(), bounds.requests_max),
            Ties(services.processes.connected, disconnected),
            store.metrics,
        )
        deaths.told = lambda holder, death: hub.begin(services.processes.died(holder, death))
        services.saving.behind.begin = hub.begin
        services.maintenance.connections = lambda: hub.slots.taken
        services.monitor.told = self._heard_of_health
        return hub

    def _listen(self, hub: Hub, passed: Iterable[int]) -> None:
        """Take over what systemd passed, else make the socket; and let in."""
        roles = self._roles(self._config)
        for fd in passed:
            adopted = adopt(fd)
            if adopted is None:
                os.close(fd)
            else:
                self._listeners.append(Listener(hub, adopted, roles))
        if not self._listeners:
            listening, made = bind(self._config.socket, self._config.socket_group)
            self._listeners.append(Listener(hub, listening, roles, made))
        for listener in self._listeners:
            listener.open()

    def _heed_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)

    async def _serve(self, hub: Hub, store: Assembled) -> None:
        # What is here by now stays: the collector need not walk it each time that it looks for what doesn't.
        gc.collect()
        gc.freeze()
        sd.notify("READY=1", self._status())
        LOG.info(
            "ready",
            store=self._medium.path,
            file_system=self._medium.file_system,
            sockets=[listener.name for listener in self._listeners],
            pid=os.getpid(),
        )
        async with asyncio.TaskGroup() as tasks:
            tending = [tasks.create_task(self._kept_up(work)) for work in store.loops]
            tending.append(tasks.create_task(self._feed_watchdog(store)))
            tending.append(tasks.create_task(self._notice_loneliness(hub)))
            await self._told_to_stop.wait()
            LOG.info("stopping", connections=hub.slots.taken)
            sd.notify("STOPPING=1", "STATUS=finishing what was begun")
            for listener in self._listeners:
                listener.close()
            # Who dies from here on is found dead by the next daemon.
            hub.deaths.close()
            await hub.stop(limits.stop_seconds_max)
            for task in tending:
                task.cancel()

    def _status(self) -> str:
        where = ", ".join(listener.name for listener in self._listeners)
        verb = "serving" if self._read_only is None else f"read-only, because {self._read_only}; reading"
        return f"STATUS={self._health}{verb} {self._medium.path} at {where}"

    def _heard_of_health(self, words: str) -> None:
        self._health = f"{words}; "
        sd.notify(self._status())

    # --- while it lives ---

    async def _kept_up(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A loop that meets a bug begins again after a while; meanwhile everybody is served."""
        while True:
            try:
                await work()
            except Exception:
                LOG.exception("a loop met a bug and begins again", after_seconds=limits.loop_pause_seconds)
            await self._clock.sleep(limits.loop_pause_seconds)

    async def _feed_watchdog(self, store: Assembled) -> None:
        """A word to the manager each time that the loop came round and the committer did too; else it restarts us."""
        usec = sd.watchdog_usec()
        while usec is not None:
            await asyncio.wrap_future(store.committer.run(lambda: None))
            sd.notify("WATCHDOG=1")
            await self._clock.sleep(usec / 2e6)

    async def _notice_loneliness(self, hub: Hub) -> None:
        """End some time after the last client, where the setting says so, and a private daemon with its store."""
        since = self._clock.monotonic()
        while not self._told_to_stop.is_set():
            idle = self._config.idle_exit_seconds
            await self._clock.sleep(min(idle or limits.vanished_poll_seconds, limits.vanished_poll_seconds))
            if hub.slots.taken:
                since = self._clock.monotonic()
            if self._private and self._medium.vanished():
                LOG.info("the store's directory is gone")
                self._told_to_stop.set()
            elif idle and self._clock.monotonic() - since >= idle:
                LOG.info("nobody is connected", seconds=idle)
                self._told_to_stop.set()

    # --- the configuration read again ---

    def _hung_up(self) -> None:
        sd.reloading()
        try:
            self._reload()
        except ConfigError as error:
            LOG.error("the configuration was not reloaded", why=error.message, problems=error.details.get("problems"))
        finally:
            sd.notify("READY=1", self._status())

    def _reload(self) -> tuple[list[str], list[str]]:
        """Go on with what may change: (changed, needs a restart); raises ConfigError and changes nothing."""
        found = changes(self._config, self._read())
        self._config = found.config
        log.set_level(found.config.log.level)
        roles = self._roles(found.config)
        for listener in self._listeners:
            listener.roles = roles
        LOG.info("the configuration was reloaded", changed=found.reloaded, needs_restart=found.restart)
        return list(found.reloaded), list(found.restart)

    def _roles(self, config: Config) -> Roles:
        return Roles(config.roles.operators, config.roles.admins, os.geteuid())


def _raise_descriptor_limit(config: Config) -> None:
    """Use what the hard limit allows: the soft one is low for the sake of programs that call select(2)."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = 2 * config.limits.connections_max + _DESCRIPTORS_BESIDE_CONNECTIONS
    if hard != resource.RLIM_INFINITY and hard < needed:
        LOG.warning(
            "fewer descriptors than limits.connections_max may take",
            allowed=hard,
            needed=needed,
            hint="raise LimitNOFILE",
        )
