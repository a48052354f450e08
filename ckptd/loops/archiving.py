"""The archive, each `cleanup.interval` where one is configured. Not for: what moves (`service.archiving`)."""

from collections.abc import Callable

from ckptclient.errors import Unavailable
from ckptd.clock import Clock
from ckptd.loops.cleanup import LOOK_SECONDS_MAX
from ckptd.observe import log
from ckptd.service.archiving import Archiving
from ckptd.settings.tree import Config

LOG = log.get(__name__)


async def archive(clock: Clock, config: Callable[[], Config], archiving: Archiving) -> None:
    """Run until cancelled. An archive that isn't there is said once; what waits for it is done when it is back."""
    said = ""
    while True:
        try:
            await archiving.run()
            said = ""
        except Unavailable as error:
            if error.message != said:
                LOG.warning("the archive is away", why=error.message, hint=error.hint)
            said = error.message
        await clock.sleep(config().cleanup.interval_seconds or LOOK_SECONDS_MAX)
