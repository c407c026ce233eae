"""Who makes a change of configuration, as the audit log names them."""

import os
import pwd
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
    """Whoever runs this command, by the name that the operating system has of them: what their
    environment says (LOGNAME, USER) anybody may set.
    """
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:  # A container may run under a number that nobody named.
        name = f"user {user}"
    return Actor(AuditActorRow(kind=AuditActorKind.COMMAND_LINE, name=name))
