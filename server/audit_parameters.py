"""What an export of the audit log is asked for, by the same names in a query and as flags."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from db.audit_log import AuditCondition
from db.vocabulary import AuditActorKind, AuditObjectKind
from trunkline.audit.narrowing import audit_condition, entry_id
from trunkline.errors import BadRequest
from trunkline.instants import BadInstant, parse_instant

Choice = TypeVar("Choice", bound=StrEnum)

_LISTS = frozenset({"objectKind", "objectId", "actorKind", "actor", "accessTokenId", "action"})
_SINGLE = frozenset({"from", "to", "after"})


@dataclass(frozen=True, slots=True)
class AuditAsked:
    """Which entries, and the internal id of the one that they come after."""

    condition: AuditCondition
    after_id: int


def audit_asked(given: Iterable[tuple[str, str]]) -> AuditAsked:
    """The entries in these parameters. Raises `BadRequest`, naming what is wrong."""
    lists: dict[str, list[str]] = {}
    single: dict[str, str] = {}
    for name, value in given:
        if name in _LISTS:
            lists.setdefault(name, []).append(value)
        elif name not in _SINGLE:
            known = ", ".join(sorted(_LISTS | _SINGLE))
            raise BadRequest(f"there is no parameter {name[:64]!r}: {known}")
        elif name in single:
            raise BadRequest(f"{name} is given twice")
        else:
            single[name] = value
    condition = audit_condition(
        object_kinds=_choices(AuditObjectKind, lists, "objectKind"),
        object_ids=lists.get("objectId"),
        actor_kinds=_choices(AuditActorKind, lists, "actorKind"),
        actors=lists.get("actor"),
        access_token_ids=lists.get("accessTokenId"),
        actions=lists.get("action"),
        begin=_instant(single, "from"),
        end=_instant(single, "to"),
    )
    return AuditAsked(condition, entry_id(single["after"]) if "after" in single else 0)


def _choices(choices: type[Choice], lists: dict[str, list[str]], name: str) -> list[Choice] | None:
    """By their values, in either case."""
    known = {one.value.casefold(): one for one in choices}
    given = lists.get(name)
    if given is None:
        return None
    for text in given:
        if text.casefold() not in known:
            raise BadRequest(f"{name} is one of {', '.join(choices)}, not {text[:64]!r}")
    return [known[text.casefold()] for text in given]


def _instant(single: dict[str, str], name: str) -> datetime | None:
    if name not in single:
        return None
    try:
        # Unescaped, the plus of an offset is a space in a query.
        return parse_instant(single[name].replace(" ", "+"))
    except BadInstant as error:
        raise BadRequest(f"{name}: {error}") from error
