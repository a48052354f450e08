"""The time that expiry goes by; owns the terms *expiry's clock* and *halt*.

Theory. What has ended can't be unended, so the wall clock is believed only as far as something else bears it out.
Expiry's clock is the highest wall time that was believed: it never goes back. A wall time is believed that is at most
a *jump* further ahead of it than the time that the machine has counted since, sleep included. After a boot what was
counted is only known from that boot on. A wall time beyond that halts the clock, at where it stood, until an operator
says that it is right or the wall clock comes back to what is believed.
Not for: what saves are stamped with, nor for how long something took.
"""

from dataclasses import dataclass, replace

_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What the machine says of time: wall (microseconds UTC), and seconds since the boot of that name."""

    wall: int
    since_boot: float
    boot: str


@dataclass(frozen=True, slots=True)
class ExpiryClock:
    """`at` is expiry's now, believed when the machine said `since_boot` and `boot`; `halted_at` the wall time that isn't."""

    at: int
    since_boot: float
    boot: str
    halted_at: int | None = None

    @classmethod
    def begin(cls, now: Reading) -> "ExpiryClock":
        """The first of a store, and one that an operator has confirmed."""
        return cls(now.wall, now.since_boot, now.boot)

    def ahead_seconds(self, now: Reading) -> float:
        """How much further the wall clock went than the machine counted; negative where it went back."""
        same = now.boot == self.boot and now.since_boot >= self.since_boot
        counted = now.since_boot - self.since_boot if same else now.since_boot
        return (now.wall - self.at) / _MICROS - counted

    def look(self, now: Reading, jump_seconds: float) -> "ExpiryClock":
        """The clock after this reading; `jump_seconds` 0 believes anything."""
        if jump_seconds and self.ahead_seconds(now) > jump_seconds:
            return self if self.halted_at is not None else replace(self, halted_at=now.wall)
        if now.wall > self.at:
            return ExpiryClock.begin(now)
        return self if self.halted_at is None else replace(self, halted_at=None)

    def confirm(self, now: Reading) -> "ExpiryClock":
        """An operator says that the wall clock is right; it goes on from there, and never back."""
        return replace(ExpiryClock.begin(now), at=max(self.at, now.wall))

    def pack(self) -> str:
        """For the store's own table."""
        return f"{self.at} {self.since_boot} {self.boot or '-'} {self.halted_at if self.halted_at is not None else '-'}"

    @classmethod
    def unpack(cls, text: str) -> "ExpiryClock":
        """The reverse of `pack`."""
        at, since_boot, boot, halted_at = text.split()
        return cls(
            int(at), float(since_boot), "" if boot == "-" else boot, None if halted_at == "-" else int(halted_at)
        )
