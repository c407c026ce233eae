"""A usage event as a line of NDJSON: the same fields going out and coming in.

Their names are those of `UsageEventInput`. A line that was exported can be imported; what each
field means, and what becomes of it, is written down in `docs/export-and-import.md`.
"""

from collections.abc import Callable, Sequence

import msgspec

from db.usage_export import ExportedEvent
from trunkline.errors import Problem, ProblemCode
from trunkline.instants import BadInstant, format_instant, parse_instant
from trunkline.money import BadAmount, format_nanos, parse_dollars
from trunkline.usage.intake import NewUsageEvent

_LONGEST_QUOTED = 64
_HOW_MONEY_IS_WRITTEN = 'costUsd: write a string of plain digits, such as "0.25", or null'


class BadEventLine(ValueError):
    """The line is no event; `problems` say why."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


class EventLine(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True, gc=False
):
    """The fields of a line, in their order. Null and left out are the same where null is taken.

    `fingerprint` is hexadecimal, and tells a retry of the event from another under its key. It
    says under what the event was recorded, so it is passed over where one comes in.
    """

    idempotency_key: str
    occurred_at: str | None = None
    provider_slug: str
    model_name: str
    agent: str | None = None
    failover_chain_slug: str | None = None
    succeeded: bool = True
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    latency_ms: int | None = None
    cost_usd: str | None = None
    fingerprint: str | None = None


_decode = msgspec.json.Decoder(EventLine).decode
_encode: Callable[[Sequence[EventLine]], bytes] = msgspec.json.Encoder().encode_lines


def encode_events(lines: Sequence[EventLine]) -> bytes:
    """NDJSON, every field on every line."""
    return _encode(lines)


def line_of(event: ExportedEvent) -> EventLine:
    """A recorded event as a line."""
    return EventLine(
        idempotency_key=event.idempotency_key,
        occurred_at=format_instant(event.occurred_at),
        provider_slug=event.provider_slug,
        model_name=event.model_name,
        agent=event.agent or None,
        failover_chain_slug=event.chain_slug,
        succeeded=event.succeeded,
        input_tokens=event.input_tokens,
        cache_read_tokens=event.cache_read_tokens,
        cache_write_tokens=event.cache_write_tokens,
        output_tokens=event.output_tokens,
        reasoning_tokens=event.reasoning_tokens,
        estimated=event.estimated,
        latency_ms=event.latency_ms,
        cost_usd=None if event.cost_nanos is None else format_nanos(event.cost_nanos),
        fingerprint=event.fingerprint.hex(),
    )


def decode_event(text: bytes) -> NewUsageEvent:
    """The event in a line, its values still unchecked. Raises `BadEventLine`."""
    try:
        line = _decode(text)
    except msgspec.ValidationError as error:
        raise BadEventLine(_wrong_shape(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadEventLine(_not_json(text, error)) from error
    try:
        return NewUsageEvent(
            idempotency_key=line.idempotency_key,
            provider_slug=line.provider_slug,
            model_name=line.model_name,
            agent=line.agent,
            failover_chain_slug=line.failover_chain_slug,
            occurred_at=None if line.occurred_at is None else parse_instant(line.occurred_at),
            succeeded=line.succeeded,
            input_tokens=line.input_tokens,
            cache_read_tokens=line.cache_read_tokens,
            cache_write_tokens=line.cache_write_tokens,
            output_tokens=line.output_tokens,
            reasoning_tokens=line.reasoning_tokens,
            estimated=line.estimated,
            latency_ms=line.latency_ms,
            cost_nanos=None if line.cost_usd is None else parse_dollars(line.cost_usd),
        )
    except BadInstant as error:
        raise BadEventLine(_invalid("occurredAt", f"occurredAt: {error}")) from error
    except BadAmount as error:
        raise BadEventLine(_invalid("costUsd", f"costUsd: {error}")) from error


def _wrong_shape(message: str) -> Problem:
    """What the decoder says of JSON that isn't an event, in our words and with its field."""
    said, _, path = message.partition(" - at `$")
    field = path.strip(".`")[:_LONGEST_QUOTED]
    quoted = _printable(said.partition("`")[2].rpartition("`")[0])
    if "missing required field" in said:
        return _invalid(quoted, f"{quoted} is missing")
    if "unknown field" in said:
        return _invalid(quoted, f"{quoted} is no field of a usage event: mend or remove it")
    if not field:
        return Problem(ProblemCode.INVALID, None, "a line holds one JSON object: {…}")
    if field == "costUsd":
        return _invalid(field, _HOW_MONEY_IS_WRITTEN)
    plain = said.replace("`", "")
    return _invalid(field, f"{field}: {plain[:1].lower()}{plain[1:]}")


def _not_json(text: bytes, error: Exception) -> Problem:
    reason = _printable(str(error))
    if isinstance(error, UnicodeDecodeError):
        reason = "it is not UTF-8"
    elif b"\\u" in text:
        # The decoder calls half a character at the end of a text a truncation.
        reason = f"{reason}, or half a character (a lone surrogate)"
    return Problem(ProblemCode.INVALID, None, f"this is not valid JSON: {reason}")


def _invalid(field: str, message: str) -> Problem:
    return Problem(ProblemCode.INVALID, (field,), message)


def _printable(text: str) -> str:
    shown = "".join(sign if sign.isprintable() else "�" for sign in text[:_LONGEST_QUOTED])
    return f"{shown}…" if len(text) > _LONGEST_QUOTED else shown
