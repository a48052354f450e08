"""The figures that ckptd is to reach, as a table: a ratio to a peer in the same round, or a bound of its own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`at_least` or `at_most` bounds the median of `field`: of the ratio to the peer `over`, or of the figure itself."""

    text: str
    workload: str
    field: str
    over: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    def reached(self, median: float) -> bool:
        """Whether the bound is kept."""
        above = self.at_least is None or median >= self.at_least
        return above and (self.at_most is None or median <= self.at_most)

    def wanted(self) -> str:
        """The bound in words."""
        bound = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
        return f"{bound} of {self.over}" if self.over else bound

    def outcome(self, median: float) -> str:
        """Whether the bound is kept, and where it isn't, how far the figure is from it."""
        if self.reached(median):
            return "yes"
        missed = self.at_least if self.at_least is not None and median < self.at_least else self.at_most
        return f"**no**: at {median / missed:.1%} of it" if missed else "**no**"


TARGETS = (
    Target("one client, saves/s", "w1", "one_saves_s", over="postgres", at_least=0.7),
    Target("64 clients, saves/s", "w1", "many_saves_s", over="redis", at_least=1.0),
    Target("64 clients, p99", "w1", "many_p99_ms", over="redis", at_most=1.0),
    Target("an evolving state on disk", "w2", "disk_mb", over="zstd-files", at_most=1 / 6),
    Target("the same", "w2", "disk_mb", over="restic", at_most=1 / 6),
    Target("the same", "w2", "disk_mb", over="borg", at_most=1 / 6),
    Target("a durable save of it", "w2", "save_p50_ms", over="sqlite", at_most=1.0),
    Target("how long it holds the worker up", "w2", "blocked_p50_ms", over="files", at_most=1.0),
    Target("loading any version of it", "w2", "load_any_p50_ms", over="files", at_most=3.0),
    Target("fill with tiny checkpoints, saves/s", "w4", "fill_saves_s", over="sqlite", at_least=0.4),
    Target("newest 100 over the socket, ms", "w4", "newest_100_p50_ms", at_most=1.0),
    Target("latest of one process, ms", "w4", "latest_one_p50_ms", at_most=0.3),
    Target("expire half, s", "w4", "expire_half_s", at_most=2.0),
    Target("what that delays a saver's p99 by, ms", "w4", "beside_delay_ms", at_most=20.0),
    Target("acknowledged saves lost by 50 kills", "w5", "acked_lost", at_most=0.0),
    Target("advance in the worker, us", "progress", "advance_us", at_most=2.0),
    Target("a turn of track in the worker, us", "progress", "turn_us", at_most=2.0),
    Target("advances a second while the table is watched", "progress", "advances_s", at_least=19_000),
    Target("their sum in the table after, ms", "progress", "table_lag_max_ms", at_most=100.0),
    Target("idle daemon, resident MB", "footprint", "idle_rss_mb", at_most=45.0),
    Target("idle daemon, % of a core", "footprint", "idle_cpu_percent", at_most=0.2),
    Target("client library over bare Python, MB", "footprint", "client_extra_mb", at_most=15.0),
)
