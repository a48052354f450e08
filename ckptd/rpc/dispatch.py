"""From a request to its handler's answer: name, role, parameters, call; and from what was raised to what is said.

Every step may refuse, and after a refusal nothing else runs. Not for: what a method does, nor for sending.
"""

from collections.abc import Mapping

from ckptclient.errors import BadRequest, CkptdError, Denied, Draining, Internal
from ckptclient.wire.messages import Request
from ckptd.errors import read_only
from ckptd.observe import log
from ckptd.rpc.methods import Answer, Route
from ckptd.service.caller import Caller

LOG = log.get(__name__)


class Dispatch:
    """Finds and calls handlers."""

    def __init__(self, routes: Mapping[str, Route], why_read_only: str | None = None) -> None:
        self._routes = routes
        self._read_only = why_read_only
        self.draining: Draining | None = None
        """What everything that is new is answered with, once the daemon has begun to stop."""

    def find(self, request: Request) -> Route | None:
        """The row of a request; None for a method that doesn't exist."""
        return self._routes.get(request.method)

    def named(self, method: str) -> Route | None:
        """The row of a name."""
        return self._routes.get(method)

    def route(self, request: Request) -> Route:
        """The same; raises `BadRequest` for a method that doesn't exist."""
        route = self._routes.get(request.method)
        if route is None:
            raise BadRequest(
                f"there is no method {request.method}",
                hint="docs/PROTOCOL.md lists the methods; a newer client may know more than this daemon",
                details={"method": request.method},
            )
        return route

    def call(self, route: Route, caller: Caller, request: Request) -> Answer:
        """Check the role and the parameters and call the handler; raises what it or a check raises."""
        method = route.method
        if caller.role < method.role:
            raise Denied(
                f"{method.name} needs the role {method.role.name.lower()} and you are {caller.role.name.lower()}",
                hint="the settings roles.operators and roles.admins say who has which role",
                details={"role": method.role.name.lower()},
            )
        if self.draining is not None:
            raise self.draining
        if self._read_only is not None and method.writes:
            raise read_only(self._read_only)
        return route.handler(caller, method.params.unpack(request.params))


def answerable(error: BaseException, method: str) -> CkptdError:
    """What the peer is told: an error made for it as it is, anything else as INTERNAL, without a word of it."""
    if isinstance(error, CkptdError):
        return error
    LOG.error("a request met a bug", method=method, exc_info=error)
    return Internal("the daemon met a bug of its own", hint="its log has the details under the request's id")
