"""A process that gives an alert and is killed at once: `python -m … DATABASE_URL KEY WEBHOOK_URL`.

It prints the webhook's secret, commits the alert with its delivery, and dies before sending it.
"""

import asyncio
import os
import signal
import sys

from db.engine import Database
from db.vocabulary import BudgetPeriod, ProviderKind
from server.wiring import services_on
from trunkline.budgets.changes import create_budget
from trunkline.budgets.inputs import BudgetScope, NewBudget
from trunkline.budgets.watching import BudgetWatch
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.secrets import Secrets
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage


async def main(database_url: str, secret_key: str, webhook_url: str) -> None:
    """Spend a whole budget."""
    database = Database.open(database_url)
    async with services_on(
        database, Secrets([secret_key]), private_networks="allow-webhooks"
    ) as services:
        await create_provider(
            services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
        )
        budget = NewBudget(
            name="Budget",
            scope=BudgetScope(everything=True),
            amount_nanos=10,
            # A month, so that no midnight falls into the test.
            period=BudgetPeriod.CALENDAR_MONTH,
            timezone="UTC",
            thresholds=(100,),
            webhook_url=webhook_url,
        )
        saved = await create_budget(services, budget)
        sys.stdout.write(f"{saved.webhook_secret}\n")
        sys.stdout.flush()
        event = NewUsageEvent(
            idempotency_key="one", provider_slug="local", model_name="llama", cost_nanos=10
        )
        await record_usage(services, [event])
        await BudgetWatch(services).look()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
