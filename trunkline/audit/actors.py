"""Who makes a change of configuration, as the audit log names them."""

import getpass
from dataclasses import dataclass

from db.audit_log import AuditActorRow
from db.vocabulary import AuditActorKind


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and by which request where there is one."""

    row: AuditActorRow
    request_id: str | None = None


SYSTEM = Actor(AuditActorRow(kind=AuditActorKind.SYSTEM, name="trunkline"))
"""Trunkline itself: what a start puts into the store, and what follows from a receiver's answer."""


def command_line() -> Actor:
    """Whoever runs this command, by the name that the operating system has of them."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # A container may run under a number that nobody named.
        name = ""
    return Actor(AuditActorRow(kind=AuditActorKind.COMMAND_LINE, name=name or "unknown"))
