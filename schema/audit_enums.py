"""The names on the wire of the enumerations of the audit log."""

from db.vocabulary import AuditActorKind, AuditObjectKind
from schema.enums import enum_type

enum_type(
    AuditActorKind,
    description="Who changes configuration.",
    values={
        "ADMIN": "Whoever holds the admin token, or signed in by the link of "
        "`trunkline sign-in-link`; anybody, where the server runs with `--no-auth`.",
        "ACCESS_TOKEN": "Whoever holds an access token.",
        "COMMAND_LINE": "Whoever ran a command on a machine of the server's.",
        "SYSTEM": "Trunkline itself: what a start puts into the store, and a webhook that is "
        "disabled because its receiver is gone.",
    },
)

enum_type(
    AuditObjectKind,
    description="What a change of configuration is about.",
    values={
        "PROVIDER": "A provider.",
        "MODEL": "A model.",
        "FAILOVER_CHAIN": "A failover chain.",
        "BUDGET": "A budget.",
        "ACCESS_TOKEN": "An access token.",
        "CATALOG": "The price data that comes with Trunkline, as a whole.",
        "SECRET_KEYS": "The keys that seal what is secret, as a whole: never one of them.",
    },
)
