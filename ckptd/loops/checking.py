"""A look over the catalog's file, once after the start: the start itself never waits for the size of the store."""

from collections.abc import Callable, Sequence

from ckptd.errors import StoreFailed
from ckptd.observe import log
from ckptd.service.backend import Backend

LOG = log.get(__name__)


async def check(
    backend: Backend, quick_check: Callable[[], Sequence[str]], fatal: Callable[[StoreFailed], None]
) -> None:
    """Ask in a reader's thread; a file that is damaged ends the daemon, before more is written on top of it."""
    wrong = await backend.read(lambda _: quick_check())
    if wrong:
        LOG.error("the catalog is damaged", found=list(wrong), hint="restore it from its backup")
        fatal(StoreFailed("the catalog is damaged"))
