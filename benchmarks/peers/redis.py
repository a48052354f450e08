"""Redis over its Unix socket, with an append-only file that is synced before every reply."""

import time
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from benchmarks.peers.interface import Place, SavesAtOnce, lacks_module
from benchmarks.server import Server, find_program, run
from benchmarks.states import State, pack, unpack


class RedisSession(SavesAtOnce):
    def __init__(self, socket: Path, *, history: bool) -> None:
        import redis

        # Typed loosely: redis-py answers `Awaitable[T] | T` from one class for both of its clients.
        self.redis: Any = redis.Redis(unix_socket_path=str(socket))
        self.history = history

    @override
    def save(self, key: str, version: int, state: State, *, brief: bool = False) -> None:
        if not self.history:
            self.redis.set(key, pack(state))
            return
        member = f"{key}:{version}"
        pipe = self.redis.pipeline(transaction=True)
        pipe.set(member, pack(state))
        pipe.zadd(f"versions:{key}", {version: version})
        pipe.zadd("all", {member: time.time()})
        pipe.sadd("keys", key)
        pipe.execute()

    def load(self, key: str, version: int | None = None) -> State:
        if not self.history:
            return unpack(self.redis.get(key))
        return unpack(self.redis.get(f"{key}:{self.latest(key) if version is None else version}"))

    def latest(self, key: str) -> int:
        return int(self.redis.zrevrange(f"versions:{key}", 0, 0)[0])

    def latest_all(self) -> int:
        pipe = self.redis.pipeline(transaction=False)
        for key in self.redis.smembers("keys"):
            pipe.zrevrange(f"versions:{key.decode()}", 0, 0)
        return len(pipe.execute())

    def newest(self, count: int) -> int:
        return len(self.redis.zrevrange("all", 0, count - 1))

    def expire(self, below: int) -> int:
        count = 0
        for name in self.redis.smembers("keys"):
            key = name.decode()
            ended = [int(version) for version in self.redis.zrangebyscore(f"versions:{key}", 0, below - 1)]
            members = [f"{key}:{version}" for version in ended]
            count += len(ended)
            if not ended:
                continue
            pipe = self.redis.pipeline(transaction=True)
            pipe.delete(*members).zrem("all", *members).zrem(f"versions:{key}", *ended)
            pipe.execute()
        return count

    def compact(self) -> None:
        self.redis.bgrewriteaof()
        time.sleep(0.2)
        while self.redis.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.05)

    def close(self) -> None:
        self.redis.close()


class Redis:
    name: ClassVar[str] = "redis"
    terms: ClassVar[str] = "appendonly yes, appendfsync always, Unix socket"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.server: Server | None = None

    @classmethod
    def missing(cls) -> str | None:
        if find_program("redis-server") is None:
            return "redis-server is missing: apt install redis-server"
        return lacks_module("redis", "redis")

    @classmethod
    def version(cls) -> str:
        return "Redis " + run([find_program("redis-server") or "redis-server", "--version"]).split("v=")[1].split()[0]

    def start(self) -> None:
        import redis

        socket = self.place.scratch / "redis.sock"

        def ready() -> None:
            client: Any = redis.Redis(unix_socket_path=str(socket))
            client.ping()
            client.close()

        program = find_program("redis-server") or "redis-server"
        options = {
            "port": 0,
            "unixsocket": socket,
            "dir": self.place.store,
            "appendonly": "yes",
            "appendfsync": "always",
        }
        flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.server = Server(
            # No snapshots beside the append-only file: they would cost time and bring no durability.
            command=[program, *flags, "--save", ""],
            log=self.place.scratch / "redis.log",
            ready=ready,
            not_yet=(redis.ConnectionError, redis.exceptions.BusyLoadingError),
        )
        self.server.start()

    def session(self) -> RedisSession:
        return RedisSession(self.place.scratch / "redis.sock", history=self.place.history)
