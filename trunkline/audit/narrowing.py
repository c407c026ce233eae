"""What entries somebody asks for: by the names and ids that they see, checked."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from db.audit_log import AuditCondition
from db.vocabulary import AuditActorKind, AuditObjectKind
from trunkline.audit.actions import ACTIONS
from trunkline.audit.showing import TYPE_NAMES
from trunkline.changes import unstorable_character
from trunkline.errors import BadRequest
from trunkline.global_ids import parse_id

T = TypeVar("T")

MOST_FILTERED = 1_000
"""Entries of one list, as in other filters."""

_KINDS = {name: kind for kind, name in TYPE_NAMES.items()}


def audit_condition(
    *,
    object_kinds: Sequence[AuditObjectKind] | None = None,
    object_ids: Sequence[str] | None = None,
    actor_kinds: Sequence[AuditActorKind] | None = None,
    actors: Sequence[str] | None = None,
    access_token_ids: Sequence[str] | None = None,
    actions: Sequence[str] | None = None,
    begin: datetime | None = None,
    end: datetime | None = None,
) -> AuditCondition:
    """The condition for the store. Ids are global ones. Raises `BadRequest`, saying what is wrong.

    A name that nobody has matches nothing; an action that doesn't exist is refused, as a slip of
    the pen would look like a time without changes.
    """
    for listed in (object_kinds, object_ids, actor_kinds, actors, access_token_ids, actions):
        if listed is not None and len(listed) > MOST_FILTERED:
            raise BadRequest(f"a list takes at most {MOST_FILTERED} entries")
    for actor in actors or ():
        if unstorable := unstorable_character(actor):
            raise BadRequest(f"no actor's name holds {unstorable}")
    for action in actions or ():
        if action not in ACTIONS:
            raise BadRequest(f"there is no action {action[:64]!r}: {', '.join(ACTIONS)}")
    if begin is not None and end is not None and end <= begin:
        raise BadRequest("from must lie before to")
    return AuditCondition(
        object_kinds=_tuple(object_kinds),
        objects=None if object_ids is None else tuple(map(_object, object_ids)),
        actor_kinds=_tuple(actor_kinds),
        actor_names=_tuple(actors),
        token_ids=None if access_token_ids is None else tuple(map(_token, access_token_ids)),
        actions=_tuple(actions),
        begin=begin,
        end=end,
    )


def entry_id(text: str) -> int:
    """The internal id of an entry. Raises `BadRequest` where it is no global id of one."""
    parsed = parse_id(text)
    if parsed is None or parsed[0] != "AuditEntry":
        raise BadRequest(f"{text[:128]!r} is no id of an AuditEntry")
    return parsed[1]


def _object(text: str) -> tuple[AuditObjectKind, int]:
    parsed = parse_id(text)
    if parsed is None or parsed[0] not in _KINDS:
        raise BadRequest(f"{text[:128]!r} is no id of a {', '.join(_KINDS)}")
    return _KINDS[parsed[0]], parsed[1]


def _token(text: str) -> int:
    kind, internal_id = _object(text)
    if kind is not AuditObjectKind.ACCESS_TOKEN:
        raise BadRequest(f"{text[:128]!r} is no id of an AccessToken")
    return internal_id


def _tuple(listed: Sequence[T] | None) -> tuple[T, ...] | None:
    return None if listed is None else tuple(listed)
