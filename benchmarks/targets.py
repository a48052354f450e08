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


TARGETS = (
    Target("one client, saves/s", "w1", "one_saves_s", over="postgres", at_least=0.7),
    Target("64 clients, saves/s", "w1", "many_saves_s", over="redis", at_least=1.0),
    Target("64 clients, p99", "w1", "many_p99_ms", over="redis", at_most=1.0),
    Target("fill with tiny checkpoints, saves/s", "w4", "fill_saves_s", over="sqlite", at_least=0.4),
    Target("newest 100 over the socket, ms", "w4", "newest_100_p50_ms", at_most=1.0),
    Target("latest of one process, ms", "w4", "latest_one_p50_ms", at_most=0.3),
    Target("expire half, s", "w4", "expire_half_s", at_most=2.0),
    Target("acknowledged saves lost by 50 kills", "w5", "acked_lost", at_most=0.0),
)
