"""What goes over the bus: a commit's counters, and the events that it published.

Read strictly, as anybody who reaches the bus can write to it: sizes and numbers are bounded,
unknown fields and kinds are refused. Servers of another version may so refuse each other's
messages, and hear by the poll instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Literal

from msgspec import DecodeError, Meta, Struct, structs
from msgspec.json import Decoder, encode

from db.columns import from_microseconds, to_microseconds
from db.vocabulary import ChangeKind
from trunkline.events import (
    AccessTokenChanged,
    BudgetAlerted,
    BudgetChanged,
    Event,
    FailoverChainChanged,
    GatewayRequestsRecorded,
    ModelChanged,
    ProviderChanged,
    State,
    UsageRecorded,
)

LARGEST_BYTES = 256 * 1024
MOST_EVENTS = 500
"""Of one kind; of more none is told, and listeners read anew."""

USAGE = "usage"
GATEWAY_REQUESTS = "gateway_requests"
TYPES: Mapping[str, type[Event]] = {
    "access_token": AccessTokenChanged,
    "budget": BudgetChanged,
    "budget_alert": BudgetAlerted,
    "failover_chain": FailoverChainChanged,
    GATEWAY_REQUESTS: GatewayRequestsRecorded,
    "model": ModelChanged,
    "provider": ProviderChanged,
    USAGE: UsageRecorded,
}
"""Every kind of change by its name in the database and on the bus: a name is never reused."""
KINDS: Mapping[type[Event], str] = {kind: name for name, kind in TYPES.items()}


class BadMessage(ValueError):
    """It is none of ours."""


@dataclass(frozen=True, slots=True)
class Count:
    """A counter's rise from `before`, which is 0 where it began, to `value`."""

    kind: str
    before: int
    value: int


@dataclass(frozen=True, slots=True)
class Commit:
    """What a writer committed: counters, and the events of those kinds, where they were few."""

    writer: str
    counts: Sequence[Count]
    events: Sequence[Event]


_Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_Slug = Annotated[str, Meta(max_length=200)]
_Happened = Literal["CREATED", "UPDATED", "DELETED"]
# Up to the end of the year 9999, which a datetime can still hold.
_Instant = Annotated[int, Meta(ge=0, le=253_402_300_799_999_999)]


class _Told(Struct, forbid_unknown_fields=True):
    pass


class _Object(_Told):
    kind: _Happened
    id: _Id


class _Provider(_Object, tag="provider"):
    slug: _Slug


class _Model(_Object, tag="model"):
    provider_id: _Id
    provider_slug: _Slug


class _FailoverChain(_Object, tag="failover_chain"):
    slug: _Slug


class _Budget(_Object, tag="budget"):
    pass


class _BudgetAlert(_Object, tag="budget_alert"):
    budget_id: _Id


class _AccessToken(_Object, tag="access_token"):
    pass


class _Usage(_Told, tag=USAGE):
    as_of: _Instant


class _GatewayRequests(_Told, tag=GATEWAY_REQUESTS):
    at: _Instant


class _Count(_Told):
    kind: Annotated[str, Meta(max_length=40)]
    before: _Whole
    value: _Id


_Objects = _Provider | _Model | _FailoverChain | _Budget | _BudgetAlert | _AccessToken
_Events = _Objects | _Usage | _GatewayRequests


class _Commit(_Told):
    writer: Annotated[str, Meta(min_length=1, max_length=64)]
    counts: Annotated[list[_Count], Meta(min_length=1, max_length=len(TYPES))]
    events: Annotated[list[_Events], Meta(max_length=MOST_EVENTS * len(TYPES))]


_TOLD: Mapping[type[Event], type[_Objects]] = {
    AccessTokenChanged: _AccessToken,
    BudgetChanged: _Budget,
    BudgetAlerted: _BudgetAlert,
    FailoverChainChanged: _FailoverChain,
    ModelChanged: _Model,
    ProviderChanged: _Provider,
}
"""Those whose fields go over as they are."""
_MADE: Mapping[type[_Objects], type[Event]] = {told: made for made, told in _TOLD.items()}
_decoder = Decoder(_Commit)


def encoded(commit: Commit) -> bytes:
    """A message of at most `LARGEST_BYTES`; events that are too many for it are left out."""
    few = [
        event
        for kind in TYPES.values()
        if len(own := [one for one in commit.events if type(one) is kind]) <= MOST_EVENTS
        for event in own
    ]
    counts = [_Count(one.kind, one.before, one.value) for one in commit.counts]
    message = encode(_Commit(commit.writer, counts, [_told(event) for event in few]))
    if len(message) > LARGEST_BYTES:
        states = [_told(event) for event in few if isinstance(event, State)]
        message = encode(_Commit(commit.writer, counts, states))
    return message


def decoded(message: bytes) -> Commit:
    """What a message says. Raises `BadMessage` for whatever `encoded` could not have made."""
    if len(message) > LARGEST_BYTES:
        raise BadMessage(f"longer than {LARGEST_BYTES} bytes")
    try:
        found = _decoder.decode(message)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(str(error)) from error
    counts = [Count(one.kind, one.before, one.value) for one in found.counts]
    kinds = {one.kind for one in counts}
    if len(kinds) < len(counts) or not kinds <= TYPES.keys():
        raise BadMessage("a kind that is unknown, or told twice")
    if any(one.before >= one.value for one in counts):
        raise BadMessage("a counter that does not rise")
    events = [_event(one) for one in found.events]
    if not {KINDS[type(event)] for event in events} <= kinds:
        raise BadMessage("an event that is not counted")
    return Commit(found.writer, counts, events)


def _told(event: Event) -> _Events:
    if isinstance(event, UsageRecorded):
        return _Usage(to_microseconds(event.as_of))
    if isinstance(event, GatewayRequestsRecorded):
        return _GatewayRequests(to_microseconds(event.at))
    told: Callable[..., _Objects] = _TOLD[type(event)]
    return told(**{field.name: getattr(event, field.name) for field in fields(event)})


def _event(told: _Events) -> Event:
    if isinstance(told, _Usage):
        return UsageRecorded(from_microseconds(told.as_of))
    if isinstance(told, _GatewayRequests):
        return GatewayRequestsRecorded(from_microseconds(told.at))
    made: Callable[..., Event] = _MADE[type(told)]
    return made(**structs.asdict(told) | {"kind": ChangeKind(told.kind)})
