"""What may be asked of a budget, checked: every problem at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from db.vocabulary import BudgetAction, BudgetPeriod, BudgetScopeKind
from trunkline.budgets.webhooks import check_webhook_url
from trunkline.changes import LONGEST_NAME, UNSET, Given, Problems
from trunkline.errors import BadRequest, ProblemCode
from trunkline.money import NANOS_PER_DOLLAR
from trunkline.providers.kinds import InvalidUrl
from trunkline.providers.outgoing import Outgoing
from trunkline.usage.windows import zone_of

MOST_BUDGETS = 1_000
MOST_THRESHOLDS = 10
HIGHEST_THRESHOLD = 1_000
DEFAULT_THRESHOLDS = (50, 80, 100)
MOST_AMOUNT_NANOS = 10**9 * NANOS_PER_DOLLAR
"""A billion dollars: below what 64 bits sum exactly, and above what anybody spends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetScope:
    """Whose spending counts: exactly one of these. `everything` is only ever True."""

    everything: bool | None = None
    provider_id: int | None = None
    model_id: int | None = None
    agent: str | None = None
    chain_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBudget:
    """A budget to create. The amount is in nanodollars, thresholds are whole percents of it."""

    name: str
    scope: BudgetScope
    amount_nanos: int
    period: BudgetPeriod
    timezone: str
    action: BudgetAction = BudgetAction.ALERT
    thresholds: Sequence[int] = DEFAULT_THRESHOLDS
    enabled: bool = True
    webhook_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUpdate:
    """What to change of a budget; what is UNSET stays. A webhook URL of None removes it."""

    id: int
    expected_version: int | None = None
    name: Given[str] = UNSET
    amount_nanos: Given[int] = UNSET
    period: Given[BudgetPeriod] = UNSET
    timezone: Given[str] = UNSET
    action: Given[BudgetAction] = UNSET
    thresholds: Given[Sequence[int]] = UNSET
    enabled: Given[bool] = UNSET
    webhook_url: Given[str] = field(default=UNSET, repr=False)


def checked_scope(problems: Problems, scope: BudgetScope) -> tuple[BudgetScopeKind, int, str]:
    """Kind, id and agent of a scope, 0 and "" for none; whether it exists is not looked up."""
    if scope.everything is False:
        problems.invalid(("scope", "all"), "all can only be true: name whose spending counts")
    if scope.agent is not None:
        agent = scope.agent
        if not 1 <= len(agent) <= LONGEST_NAME or not agent.strip() or not agent.isprintable():
            problems.invalid(
                ("scope", "agent"),
                f"agent takes 1 to {LONGEST_NAME} characters, none a control character: "
                "the name that the agent reports",
            )
        return BudgetScopeKind.AGENT, 0, agent
    if scope.provider_id is not None:
        return BudgetScopeKind.PROVIDER, scope.provider_id, ""
    if scope.model_id is not None:
        return BudgetScopeKind.MODEL, scope.model_id, ""
    if scope.chain_id is not None:
        return BudgetScopeKind.FAILOVER_CHAIN, scope.chain_id, ""
    return BudgetScopeKind.ALL, 0, ""


def checked_name(problems: Problems, name: str) -> str:
    """The name without surrounding white space."""
    return problems.text(name, ("name",), longest=LONGEST_NAME)


def check_amount(problems: Problems, amount_nanos: int) -> None:
    """Note an amount that is no budget."""
    if not 0 < amount_nanos <= MOST_AMOUNT_NANOS:
        problems.invalid(("amountUsd",), "amountUsd must be above 0 and at most 1000000000")


def check_timezone(problems: Problems, timezone: str) -> None:
    """Note a zone that nobody knows."""
    try:
        zone_of(timezone)
    except BadRequest as error:
        problems.invalid(("timezone",), str(error))


def checked_thresholds(problems: Problems, thresholds: Sequence[int]) -> tuple[int, ...]:
    """The thresholds in ascending order."""
    if len(thresholds) > MOST_THRESHOLDS:
        problems.add(
            ProblemCode.TOO_MANY,
            ("thresholds",),
            f"at most {MOST_THRESHOLDS} thresholds, not {len(thresholds)}",
        )
        return ()
    for place, threshold in enumerate(thresholds):
        path = ("thresholds", str(place))
        if not 1 <= threshold <= HIGHEST_THRESHOLD:
            problems.invalid(path, f"a threshold takes 1 to {HIGHEST_THRESHOLD} percent")
        elif threshold in thresholds[:place]:
            problems.add(ProblemCode.DUPLICATE, path, "this threshold is named twice")
    return tuple(sorted(thresholds))


def checked_webhook_url(problems: Problems, url: str, outgoing: Outgoing) -> str:
    """The URL in one spelling; "" where it is none that something may be sent to."""
    try:
        return check_webhook_url(url, may_be_private=outgoing.webhooks_may_be_private)
    except InvalidUrl as error:
        problems.invalid(("webhookUrl",), str(error))
        return ""
