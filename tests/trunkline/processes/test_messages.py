"""Messages of the bus: whole for whoever we are, refused from anybody else."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
import pytest

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
    UsageRecorded,
)
from trunkline.processes.messages import (
    KINDS,
    LARGEST_BYTES,
    MOST_EVENTS,
    BadMessage,
    Commit,
    Count,
    decoded,
    encoded,
)

EVENTS: Sequence[Event] = (
    ProviderChanged(ChangeKind.CREATED, 1, "north"),
    ModelChanged(ChangeKind.UPDATED, 2, 1, "north"),
    FailoverChainChanged(ChangeKind.DELETED, 3, "support"),
    BudgetChanged(ChangeKind.UPDATED, 4),
    BudgetAlerted(ChangeKind.CREATED, 5, 4),
    AccessTokenChanged(ChangeKind.DELETED, 6),
    UsageRecorded(datetime(2026, 11, 23, 15, 0, 0, 123456, UTC)),
    GatewayRequestsRecorded(datetime(2026, 11, 23, 15, 0, 0, 654321, UTC)),
)
GOOD: dict[str, Any] = {
    "writer": "w",
    "counts": [{"kind": "provider", "before": 0, "value": 7}],
    "events": [{"type": "provider", "kind": "CREATED", "id": 1, "slug": "north"}],
}
CHANGES: tuple[dict[str, Any], ...] = (
    {"more": 1},
    {"writer": ""},
    {"writer": "w" * 65},
    {"writer": 1},
    {"counts": []},
    {"counts": [GOOD["counts"][0]] * 2},
    {"counts": [{"kind": "nothing", "before": 0, "value": 1}]},
    {"counts": [{"kind": "provider", "before": 7, "value": 7}]},
    {"counts": [{"kind": "provider", "before": -1, "value": 7}]},
    {"counts": [{"kind": "provider", "before": 0, "value": 0}]},
    {"counts": [{"kind": "provider", "before": 0, "value": 2**63}]},
    {"counts": [{"kind": "provider", "before": 0, "value": 1.5}]},
    {"events": [{"type": "usage", "as_of": 1}]},
    {"events": [{"type": "gateway_requests", "at": -1}]},
    {"events": [{"type": "provider", "kind": "READY", "id": 1, "slug": "n"}]},
    {"events": [{"type": "provider", "kind": "CREATED", "id": 0, "slug": "n"}]},
    {"events": [{"type": "provider", "kind": "CREATED", "id": 2**63, "slug": "n"}]},
    {"events": [{"type": "provider", "kind": "CREATED", "id": 1, "slug": "n" * 201}]},
    {"events": [{"type": "provider", "kind": "CREATED", "id": 1}]},
    {"events": [{"type": "other", "kind": "CREATED", "id": 1, "slug": "n"}]},
    {"events": GOOD["events"] * 10_000},
)


def commit_of(*events: Event) -> Commit:
    kinds = dict.fromkeys(KINDS[type(event)] for event in events)
    return Commit("w", [Count(kind, 6, 7) for kind in kinds], list(events))


def test_every_event_comes_back_as_it_was() -> None:
    commit = commit_of(*EVENTS)
    back = decoded(encoded(commit))
    assert (back.writer, back.counts) == (commit.writer, commit.counts)
    assert sorted(back.events, key=repr) == sorted(commit.events, key=repr)


def test_too_many_events_of_one_kind_are_left_out_and_the_others_stay() -> None:
    models = [
        ModelChanged(ChangeKind.CREATED, number + 1, 1, "north")
        for number in range(MOST_EVENTS + 1)
    ]
    commit = commit_of(*models, EVENTS[0])
    back = decoded(encoded(commit))
    assert list(back.events) == [EVENTS[0]]
    assert back.counts == commit.counts


def test_a_message_stays_within_its_size() -> None:
    providers = [
        ProviderChanged(ChangeKind.CREATED, number + 1, "ü" * 200) for number in range(MOST_EVENTS)
    ]
    models = [
        ModelChanged(ChangeKind.CREATED, number + 1, 1, "ü" * 200) for number in range(MOST_EVENTS)
    ]
    message = encoded(commit_of(*providers, *models, EVENTS[-1]))
    assert len(message) <= LARGEST_BYTES
    assert list(decoded(message).events) == [EVENTS[-1]]


def test_the_form_is_the_one_that_other_servers_read() -> None:
    assert decoded(orjson.dumps(GOOD)).events == [EVENTS[0]]
    assert orjson.loads(encoded(Commit("w", [Count("provider", 0, 7)], [EVENTS[0]]))) == GOOD


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{" * 100_000,
        b"[" * 200_000,
        b"x" * (LARGEST_BYTES + 1),
        orjson.dumps(GOOD) + b" " * LARGEST_BYTES,
        orjson.dumps(GOOD)[:-1],
        *(orjson.dumps(GOOD | changed) for changed in CHANGES),
        orjson.dumps(
            {
                "writer": "w",
                "counts": [{"kind": "usage", "before": 0, "value": 1}],
                "events": [{"type": "usage", "as_of": 2**62}],
            }
        ),
    ],
    ids=lambda message: repr(message[:60]),
)
def test_what_is_none_of_ours_is_refused(message: bytes) -> None:
    with pytest.raises(BadMessage):
        decoded(message)


def test_no_bytes_do_more_than_be_refused() -> None:
    dice = random.Random(5)
    good = bytearray(encoded(commit_of(*EVENTS)))
    for _ in range(3_000):
        bad = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            bad[dice.randrange(len(bad))] = dice.randrange(256)
        try:
            decoded(bytes(bad))
        except BadMessage:
            continue
    assert msgspec.json.decode(bytes(good))
