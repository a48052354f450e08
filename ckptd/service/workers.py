"""What the services ask of whoever watches workers' OS processes; the edge implements it with pidfds."""

from typing import Protocol

from ckptd.core.ids import Holder


class Workers(Protocol):
    """Knows which OS processes live. Its verdicts come from the kernel, never from silence."""

    def alive(self, holder: Holder) -> bool | None:
        """Whether the OS process lives; None where nobody can tell."""

    def watched(self, holder: Holder) -> bool:
        """Whether a pidfd speaks for it, so that its death will be told by itself."""

    def watch(self, holder: Holder) -> bool | None:
        """Begin to watch a worker known from the catalog; as `alive`."""
