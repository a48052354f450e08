"""`backup run`, `ls`, `verify`, `restore`: what they do is `doing`'s, loaded when one is said."""

from ckptd.ctl.answer import Answer
from ckptd.ctl.session import Session


def run(session: Session, *, destination: str, keep: int) -> Answer:
    """Make a backup; the daemon may be up or down."""
    from ckptd.ctl.backup import doing

    return doing.run(session, destination, keep)


def ls(session: Session, *, destination: str) -> Answer:
    """What there is, and what can't be read."""
    from ckptd.ctl.backup import doing

    return doing.ls(destination)


def verify(
    session: Session, *, destination: str, name: str | None, deep: bool, drill: bool, scratch: str | None
) -> Answer:
    """Read a backup; with a drill, restore it on trial too."""
    from ckptd.ctl.backup import doing

    return doing.verify(session, destination, name, deep=deep, drill=drill, scratch=scratch)


def restore(session: Session, *, source: str, directory: str, name: str | None) -> Answer:
    """Make a store of a backup."""
    from ckptd.ctl.backup import doing

    return doing.restore(session, source, directory, name)
