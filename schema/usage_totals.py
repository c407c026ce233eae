"""Totals and the windows they are asked for: shared by series, providers and models."""

from datetime import datetime
from typing import Annotated, Any, Literal

import strawberry
from strawberry import UNSET

from db.vocabulary import UsageDimension, UsageGranularity, UsagePeriod
from resolvers import usage
from schema.fields import Info, described, mentions, or_none, plain, resolved
from schema.scalars import Dollars, SafeInt
from trunkline.usage.totals import Sums
from trunkline.usage.windows import WindowRequest

PERCENTILES = ("latencyP50Ms", "latencyP95Ms")
TIMEZONE = "IANA name, such as Europe/Berlin; it decides where days begin."


@strawberry.input(description="`from` inclusive, `to` exclusive, both on a quarter hour.")
class UsageRange:
    """A fixed time."""

    from_: datetime = strawberry.field(name="from", description="Inclusive.")
    to: datetime = strawberry.field(description="Exclusive.")


@strawberry.input(one_of=True, description="A period ends with the bucket that holds the present.")
class UsageWindow:
    """Exactly one of both."""

    period: UsagePeriod | None = strawberry.field(
        default=UNSET, description="A time that follows the present."
    )
    range: UsageRange | None = strawberry.field(default=UNSET, description="A fixed time.")


@strawberry.type(
    description=(
        "Input tokens include cache reads and writes; output tokens include reasoning. "
        "A request is one attempt at one model."
    )
)
class UsageTotals:
    """Read from `Sums`."""

    requests: SafeInt = plain("Attempts, those that failed included.")
    failures: SafeInt = plain("Attempts that failed.")
    input_tokens: SafeInt = plain("Cache reads and writes included.")
    cache_read_tokens: SafeInt = plain("Input that was read from the cache.")
    cache_write_tokens: SafeInt = plain("Input that was written to the cache.")
    output_tokens: SafeInt = plain("Reasoning included.")
    reasoning_tokens: SafeInt = plain("Output that was thought, not shown.")
    cost_usd: Dollars = plain("Of the requests whose price is known.")
    unpriced_requests: SafeInt = plain(
        "Requests that used tokens at an unknown price: while this is above 0, "
        "the cost is a lower bound."
    )
    estimated_requests: SafeInt = plain(
        "Requests whose tokens were estimated because the provider had not said."
    )
    average_latency_ms: float | None = plain(
        "Of the requests that reported one; null where none did."
    )
    latency_p50_ms: float | None = plain(
        "Half of the requests that reported a latency took at most this long, within 9.1 %: it is "
        "read from log-spaced bins. Null where none reported one."
    )
    latency_p95_ms: float | None = plain(
        "95 % of the requests that reported a latency took at most this long, within 9.1 %. "
        "Null where none reported one."
    )


def window_request(
    window: UsageWindow, timezone: str, granularity: UsageGranularity | None = None
) -> WindowRequest:
    """The window for the work."""
    fixed = or_none(window.range)
    return WindowRequest(
        timezone=timezone,
        period=or_none(window.period),
        start=fixed.from_ if fixed else None,
        end=fixed.to if fixed else None,
        granularity=granularity,
    )


def usage_field(dimension: Literal["PROVIDER", "MODEL"]) -> Any:
    """The field `usage` of a provider or a model."""

    async def totals(
        info: Info,
        root: strawberry.Parent[Any],
        window: Annotated[UsageWindow, described("Which time.")],
        timezone: Annotated[str, described(TIMEZONE)],
    ) -> Sums | None:
        return await usage.totals_of(
            info.context,
            UsageDimension(dimension),
            root.id,
            window_request(window, timezone),
            percentiles=mentions(info, *PERCENTILES),
        )

    return resolved(
        totals, "What it used in this time; zeros where nothing.", graphql_type=UsageTotals | None
    )
