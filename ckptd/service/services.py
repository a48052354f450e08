"""The use cases of one daemon, assembled."""

from dataclasses import dataclass

from ckptd.service.archiving import Archiving
from ckptd.service.backing_up import BackingUp
from ckptd.service.browsing import Browsing
from ckptd.service.events import Events
from ckptd.service.health import Monitor
from ckptd.service.journal import Journal
from ckptd.service.maintenance import Maintenance
from ckptd.service.processes import Processes
from ckptd.service.proving import Proving
from ckptd.service.registration import Registration
from ckptd.service.saving import Saving
from ckptd.service.scrubbing import Scrubbing


@dataclass(frozen=True, slots=True)
class Services:
    """What the table of methods calls."""

    registration: Registration
    processes: Processes
    saving: Saving
    browsing: Browsing
    journal: Journal
    events: Events
    maintenance: Maintenance
    archiving: Archiving
    backing_up: BackingUp
    monitor: Monitor
    proving: Proving
    scrubbing: Scrubbing
