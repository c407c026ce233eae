"""The audit log: who changed what of the configuration, read by who may do everything."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from db.audit_log import AuditCondition, AuditEntryRow
from db.paging import Slice
from db.vocabulary import AccessScope, AuditActorKind, AuditObjectKind
from resolvers import audit_log
from schema.compiled.purity import pure
from schema.connections import Connection, page_request
from schema.fields import After, First, Info, described, or_none, plain, resolved
from schema.node import Node, node_type, reference
from trunkline.audit.exporting import object_id
from trunkline.audit.narrowing import audit_condition


@pure
def _object_id(root: strawberry.Parent[AuditEntryRow]) -> strawberry.ID | None:
    found = object_id(root)
    return None if found is None else strawberry.ID(found)


@strawberry.type(description="Who made a change.")
class AuditActor:
    """Read from `AuditActorRow`."""

    kind: AuditActorKind = plain("What let them in.")
    name: str = plain(
        "The access token's name as it was then, or the operating system's user of a command."
    )
    access_token_id: strawberry.ID | None = reference(
        "AccessToken",
        "token_id",
        "Of the access token, also once it is revoked; null where there was none.",
    )
    in_session: bool = plain(
        "Whether they came with a browser's session, begun with what `kind` says."
    )


@strawberry.type(description="A field of an object, before and after a change.")
class AuditFieldChange:
    """Read from `FieldChangeRow`."""

    field: str = plain("Its name, as the API has it.")
    before: str | None = plain(
        'As JSON, such as `true` or `"Tour"`; null where the object was not there yet.'
    )
    after: str | None = plain("As JSON; null where the object is gone.")


@node_type(
    AuditEntryRow,
    description=(
        "One change of configuration. It stays, also when the object is deleted and the token that "
        "made it is revoked. Keys, tokens and secrets are in it as masks."
    ),
)
class AuditEntry(Node):
    """Read from `AuditEntryRow`."""

    at: datetime = plain("When, by the clock of the server that made the change.")
    actor: AuditActor = plain("Who made it.")
    request_id: str | None = plain(
        "Of the request that made it, as in the log and in `X-Request-Id`; null without one."
    )
    action: str = plain("What was done, as the mutation is called: `updateProvider`.")
    object_kind: AuditObjectKind = plain("What it was done to.")
    object_id: strawberry.ID | None = resolved(
        _object_id,
        "The object's global id, also once it is deleted; null where it has none.",
        graphql_type=strawberry.ID | None,
    )
    object_label: str = plain(
        "What the object was called before the change: a slug, `<provider slug>/<model name>`, or "
        "a name."
    )
    changes: list[AuditFieldChange] = plain(
        "Of what was created or deleted every field; of what was changed those that differ, and "
        "those whose secret was replaced, which may look alike.",
        name="fieldChanges",
    )


@strawberry.input(
    description="Entries that match every field given; a list matches any of its entries."
)
class AuditLogFilter:
    """Becomes an `AuditCondition`."""

    object_kinds: list[AuditObjectKind] | None = strawberry.field(
        default=UNSET, description="About objects of these kinds."
    )
    object_ids: list[strawberry.ID] | None = strawberry.field(
        default=UNSET, description="About these objects, living or deleted."
    )
    actor_kinds: list[AuditActorKind] | None = strawberry.field(
        default=UNSET, description="By these kinds of actors."
    )
    actors: list[str] | None = strawberry.field(
        default=UNSET, description="By actors of these names."
    )
    access_token_ids: list[strawberry.ID] | None = strawberry.field(
        default=UNSET, description="By these access tokens, living or revoked."
    )
    actions: list[str] | None = strawberry.field(
        default=UNSET, description="That did this, such as `updateProvider`."
    )
    from_: datetime | None = strawberry.field(
        name="from", default=UNSET, description="Made then or later."
    )
    to: datetime | None = strawberry.field(default=UNSET, description="Made before then.")


def _condition(filter: AuditLogFilter | None) -> AuditCondition:
    if filter is None:
        return AuditCondition()
    return audit_condition(
        object_kinds=or_none(filter.object_kinds),
        object_ids=or_none(filter.object_ids),
        actor_kinds=or_none(filter.actor_kinds),
        actors=or_none(filter.actors),
        access_token_ids=or_none(filter.access_token_ids),
        actions=or_none(filter.actions),
        begin=or_none(filter.from_),
        end=or_none(filter.to),
    )


async def _entries(
    info: Info,
    first: First = 50,
    after: After = UNSET,
    filter: Annotated[AuditLogFilter | None, described("Only these; left out, all.")] = UNSET,
) -> Slice[AuditEntryRow]:
    page = page_request(info, first, after, default=50)
    return await audit_log.list_entries(info.context, page, _condition(or_none(filter)))


@strawberry.type
class AuditQuery:
    """Fields of Query."""

    audit_log: Any = resolved(
        _entries,
        "Who changed what of the configuration, the newest first.",
        graphql_type=Connection[AuditEntry],
        scope=AccessScope.ADMIN,
    )
