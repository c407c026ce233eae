"""Usage events as they are reported, checked before anything else: every problem at once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from json.encoder import encode_basestring_ascii as quoted

from db.columns import to_microseconds
from trunkline.changes import LONGEST_NAME, Problems, unstorable_character
from trunkline.errors import ProblemCode
from trunkline.money import NANOS_PER_DOLLAR
from trunkline.usage.windows import EARLIEST

MOST_EVENTS = 1_000
LONGEST_KEY = 200
RESERVED_PREFIX = "gw:"
MOST_TOKENS = 10**9
MOST_COST_NANOS = 10_000 * NANOS_PER_DOLLAR
MOST_LATENCY_MS = 86_400_000
LONGEST_AHEAD = timedelta(minutes=5)

_TOKEN_CLASSES = (
    "inputTokens",
    "cacheReadTokens",
    "cacheWriteTokens",
    "outputTokens",
    "reasoningTokens",
)


@dataclass(slots=True, kw_only=True)
class NewUsageEvent:
    """One finished request to a model, as reported. Token classes are inclusive.

    `cost_nanos` is what the provider billed, where it says so. Nobody changes one: it is not
    frozen because that takes three times as long to make, and there are many.
    """

    idempotency_key: str
    provider_slug: str
    model_name: str
    agent: str | None = None
    failover_chain_slug: str | None = None
    occurred_at: datetime | None = None
    succeeded: bool = True
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    latency_ms: int | None = None
    cost_nanos: int | None = None

    @property
    def tokens(self) -> tuple[int, ...]:
        """In the order of the classes."""
        return (
            self.input_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.output_tokens,
            self.reasoning_tokens,
        )


def check_events(
    problems: Problems, events: Sequence[NewUsageEvent], now: datetime
) -> frozenset[int]:
    """Note what is wrong with each event, with its path, and return the places of the faulty."""
    if not events:
        problems.add(ProblemCode.TOO_FEW, ("events",), "give at least one event")
    if len(events) > MOST_EVENTS:
        problems.add(
            ProblemCode.TOO_MANY,
            ("events",),
            f"at most {MOST_EVENTS} events a call, not {len(events)}: split them",
        )
        return frozenset()
    return check_each(problems, events, now)


def check_each(
    problems: Problems, events: Sequence[NewUsageEvent], now: datetime
) -> frozenset[int]:
    """Note what is wrong with each event, whatever their number; return the faulty's places."""
    faulty = set()
    for place, event in enumerate(events):
        before = len(problems.found)
        _check(problems, event, ("events", str(place)), now)
        if len(problems.found) > before:
            faulty.add(place)
    return frozenset(faulty)


def fingerprint(event: NewUsageEvent) -> bytes:
    """Tells a repetition from another event under the same key: a hash of what was asked for.

    Not of what came of it: a time left out stays out, so that a retry is a repetition.
    """
    occurred = "null" if event.occurred_at is None else to_microseconds(event.occurred_at)
    chain = event.failover_chain_slug
    # As the standard library's JSON writes a list, which takes any text: a slug is looked up only
    # after this. Written out, it takes a third of the time.
    contents = (
        f"[{quoted(event.provider_slug)}, {quoted(event.model_name)}, "
        f"{quoted(event.agent or '')}, {'null' if chain is None else quoted(chain)}, {occurred}, "
        f"{_flag(event.succeeded)}, {event.input_tokens}, {event.cache_read_tokens}, "
        f"{event.cache_write_tokens}, {event.output_tokens}, {event.reasoning_tokens}, "
        f"{_flag(event.estimated)}, {_whole(event.latency_ms)}, {_whole(event.cost_nanos)}]"
    )
    return hashlib.sha256(contents.encode()).digest()[:16]


def _flag(flag: bool) -> str:  # noqa: FBT001  # the value itself
    return "true" if flag else "false"


def _whole(number: int | None) -> int | str:
    return "null" if number is None else number


def _check(problems: Problems, event: NewUsageEvent, path: tuple[str, ...], now: datetime) -> None:
    _check_text(problems, event.idempotency_key, (*path, "idempotencyKey"), LONGEST_KEY)
    if event.idempotency_key.startswith(RESERVED_PREFIX):
        problems.invalid(
            (*path, "idempotencyKey"),
            f"keys that begin with {RESERVED_PREFIX} are the gateway's own: choose another",
        )
    _check_text(problems, event.model_name, (*path, "modelName"), LONGEST_NAME)
    if event.agent is not None:
        _check_text(problems, event.agent, (*path, "agent"), LONGEST_NAME)
    fits = True
    for name, count in zip(_TOKEN_CLASSES, event.tokens, strict=True):
        if not 0 <= count <= MOST_TOKENS:
            fits = False
            problems.invalid((*path, name), f"{name} takes 0 to {MOST_TOKENS}")
    if fits and event.cache_read_tokens + event.cache_write_tokens > event.input_tokens:
        problems.invalid(
            (*path, "inputTokens"),
            "inputTokens include cache reads and writes, and here they are fewer than both",
        )
    if fits and event.reasoning_tokens > event.output_tokens:
        problems.invalid(
            (*path, "outputTokens"),
            "outputTokens include reasoning tokens, and here they are fewer",
        )
    if event.latency_ms is not None and not 0 <= event.latency_ms <= MOST_LATENCY_MS:
        problems.invalid((*path, "latencyMs"), f"latencyMs takes 0 to {MOST_LATENCY_MS} (a day)")
    if event.cost_nanos is not None and not 0 <= event.cost_nanos <= MOST_COST_NANOS:
        problems.invalid((*path, "costUsd"), "costUsd takes 0 to 10000")
    if event.occurred_at is not None:
        _check_time(problems, event.occurred_at, (*path, "occurredAt"), now)


def _check_text(problems: Problems, text: str, path: tuple[str, ...], longest: int) -> None:
    if not 1 <= len(text) <= longest or not text.strip():
        problems.invalid(path, f"{path[-1]} takes 1 to {longest} characters")
    elif not text.isprintable() and (
        unstorable_character(text) or any(break_ in text for break_ in "\r\n\t")
    ):
        problems.invalid(path, f"{path[-1]} holds a control character or half a character")


def _check_time(
    problems: Problems, occurred: datetime, path: tuple[str, ...], now: datetime
) -> None:
    if occurred < EARLIEST:
        problems.invalid(path, "occurredAt lies before 1980")
    elif occurred > now + LONGEST_AHEAD:
        problems.invalid(
            path,
            "occurredAt lies more than 5 minutes ahead of this server's clock: check yours, "
            "and that the offset is right",
        )
