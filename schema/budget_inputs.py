"""What mutations of budgets take."""

import strawberry
from strawberry import UNSET, Maybe

from db.vocabulary import BudgetAction, BudgetPeriod
from schema.fields import EXPECTED_VERSION
from schema.scalars import Dollars
from trunkline.budgets.inputs import DEFAULT_THRESHOLDS

_NAME = "For people, 1 to 200 characters."
_AMOUNT = 'Above 0, at most a billion, such as "250".'
_PERIOD = "How long it counts before it begins again."
_TIMEZONE = "IANA name, such as Europe/Berlin; it decides where days begin."
_ACTION = "What happens once the amount is spent."
_THRESHOLDS = (
    "Whole percents of the amount, 1 to 1000, at most 10; an alert at each, once a period."
)
_ENABLED = "Whether it alerts and blocks."
_WEBHOOK = (
    "Where alerts are sent, https only. It may go to private networks only where the server's "
    "settings let webhooks go there."
)


@strawberry.input(one_of=True, description="Whose spending counts.")
class BudgetScopeInput:
    """Exactly one of these."""

    all: bool | None = strawberry.field(default=UNSET, description="`true`: everything.")
    provider_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="Requests to this provider."
    )
    model_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="Requests to this model."
    )
    agent: str | None = strawberry.field(
        default=UNSET, description="Requests of this agent, by the name that it reports."
    )
    failover_chain_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="Requests through this chain."
    )


@strawberry.input(description="A budget of all, a provider, a model, an agent or a chain.")
class CreateBudgetInput:
    """Becomes a `NewBudget`."""

    name: str = strawberry.field(description=_NAME)
    scope: BudgetScopeInput = strawberry.field(description="Whose spending counts. Never changes.")
    amount_usd: Dollars = strawberry.field(description=_AMOUNT)
    period: BudgetPeriod = strawberry.field(description=_PERIOD)
    timezone: str = strawberry.field(description=_TIMEZONE)
    action: BudgetAction = strawberry.field(default=BudgetAction.ALERT, description=_ACTION)
    thresholds: list[int] = strawberry.field(
        default_factory=lambda: list(DEFAULT_THRESHOLDS), description=_THRESHOLDS
    )
    enabled: bool = strawberry.field(default=True, description=_ENABLED)
    webhook_url: str | None = strawberry.field(default=UNSET, description=_WEBHOOK)


@strawberry.input(description="What is left out stays. `webhookUrl: null` removes the webhook.")
class UpdateBudgetInput:
    """Becomes a `BudgetUpdate`."""

    id: strawberry.ID = strawberry.field(description="Which budget.")
    expected_version: int | None = strawberry.field(default=UNSET, description=EXPECTED_VERSION)
    name: Maybe[str | None] = strawberry.field(description=_NAME)
    amount_usd: Maybe[Dollars | None] = strawberry.field(
        description=f"{_AMOUNT} Alerts are given anew for another amount, also at once."
    )
    period: Maybe[BudgetPeriod | None] = strawberry.field(description=_PERIOD)
    timezone: Maybe[str | None] = strawberry.field(description=_TIMEZONE)
    action: Maybe[BudgetAction | None] = strawberry.field(description=_ACTION)
    thresholds: Maybe[list[int] | None] = strawberry.field(description=_THRESHOLDS)
    enabled: Maybe[bool | None] = strawberry.field(description=_ENABLED)
    webhook_url: Maybe[str | None] = strawberry.field(
        description=f"{_WEBHOOK} null removes it; given again, a disabled one works again."
    )


@strawberry.input(description="Whose secret to replace.")
class RotateBudgetWebhookSecretInput:
    """Id and version."""

    id: strawberry.ID = strawberry.field(description="Which budget.")
    expected_version: int | None = strawberry.field(default=UNSET, description=EXPECTED_VERSION)


@strawberry.input(description="Which budget to delete.")
class DeleteBudgetInput:
    """Id and version."""

    id: strawberry.ID = strawberry.field(description="Which budget.")
    expected_version: int | None = strawberry.field(default=UNSET, description=EXPECTED_VERSION)
