"""Feeds a stream's reader, in whatever cuts, and says what came of it."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from db.vocabulary import ProviderKind
from trunkline.failover.classes import FailureClass
from trunkline.failover.failed_answers import failed_answer
from trunkline.gateway.answers import (
    AnswerEvent,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    Usage,
    UsageSeen,
)
from trunkline.gateway.protocols import StreamFailed, StreamReader

WHOLE = 2**30
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine fails no test."""


def read_all(reader: StreamReader, stream: bytes, size: int = WHOLE) -> list[AnswerEvent]:
    """Every event of the stream, fed in chunks of this size."""
    return read_cut(reader, stream, range(size, len(stream), size))


def read_cut(reader: StreamReader, stream: bytes, cuts: Sequence[int]) -> list[AnswerEvent]:
    """Every event of the stream, cut at these places."""
    events: list[AnswerEvent] = []
    places = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for begin, end in itertools.pairwise(places):
        events += reader.feed(stream[begin:end])
    return [*events, *reader.end()]


def without_usage(events: Sequence[AnswerEvent]) -> list[AnswerEvent]:
    """Without what was used, which is told as often as the cuts have it."""
    return [event for event in events if not isinstance(event, UsageSeen)]


def last_usage(events: Sequence[AnswerEvent]) -> Usage | None:
    """The one that counts."""
    return next((one.usage for one in reversed(events) if isinstance(one, UsageSeen)), None)


def text_of(events: Sequence[AnswerEvent]) -> str:
    """The words."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def thoughts_of(events: Sequence[AnswerEvent]) -> str:
    """The reasoning."""
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta))


def arguments_of(events: Sequence[AnswerEvent], index: int) -> str:
    """A call's arguments."""
    deltas = [event for event in events if isinstance(event, ToolArgumentsDelta)]
    return "".join(event.text for event in deltas if event.index == index)


def class_of(kind: ProviderKind, failed: StreamFailed) -> FailureClass:
    """What the failure means for a chain."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return failed_answer(kind, failed.status, {}, failed.body, now).failure_class


def finish_of(events: Sequence[AnswerEvent]) -> Finished:
    """How it ended: exactly once, and last."""
    assert [event for event in events if isinstance(event, Finished)] == [events[-1]]
    last = events[-1]
    assert isinstance(last, Finished)
    return last


CUTS = st.lists(st.integers(1, 5_000), max_size=20)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
