"""The answer to a hello: which protocol is spoken from here on, and who the caller is.

Not for: what a hello must look like (`ckptclient.wire.params`) or when one may come (`ckptclient.wire.connection`).
"""

from dataclasses import dataclass

from ckptclient.wire import limits as wire
from ckptclient.wire.connection import negotiate
from ckptclient.wire.params import Hello
from ckptd.core.ids import Holder
from ckptd.observe import log
from ckptd.rpc.peer import Peer, boot_id
from ckptd.service.caller import Caller, Role

LOG = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a daemon says of itself."""

    server: str
    lineage: bytes
    pid: int
    requests_max: int


def greet(
    welcome: Welcome, peer: Peer, role: Role, connection: int, params: object
) -> tuple[Caller, dict[str, object]]:
    """The caller behind a hello's parameters, and what he is told; raises `BadRequest` or `VersionMismatch`."""
    hello = Hello.unpack(params)
    version = negotiate(hello.versions)
    boot = boot_id()
    holder = None
    if peer.start is not None and boot is not None:
        holder = Holder(boot, peer.pid, peer.start, hello.session)
    LOG.debug("connected", connection=connection, uid=peer.uid, pid=peer.pid, client=hello.client)
    return Caller(peer.uid, peer.gid, peer.pid, role, hello.session, holder, connection), {
        "version": version,
        "server": welcome.server,
        "lineage": welcome.lineage,
        "role": role.name.lower(),
        "uid": peer.uid,
        "limits": {"frame_bytes_max": wire.frame_bytes_max, "requests_max": welcome.requests_max},
        "pid": welcome.pid,
    }
