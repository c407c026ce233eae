"""The objects that stories are about, in a real store, and what must have been counted of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import delete

from db.engine import Connection
from db.models import ModelRow
from db.tables import usage_events, usage_rollups
from db.usage import UsageCondition
from db.vocabulary import ProviderKind, UsageDimension
from tests.conftest import SetClock
from tests.trunkline.usage.recomputed import Happened, Name, flat_cost
from tests.trunkline.usage.stories import Draft, Question
from trunkline.catalog.changes import (
    ModelUpdate,
    NewModel,
    create_model,
    delete_model,
    update_model,
)
from trunkline.catalog.price_overrides import PriceOverride
from trunkline.failover.chains import NewChain, create_chain, delete_chain
from trunkline.failover.steps import StepInput
from trunkline.providers.changes import NewProvider, create_provider, delete_provider
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.reading import SeriesRequest
from trunkline.usage.recording import record_usage

PROVIDER, MODEL, AGENT, CHAIN = UsageDimension
LONG_AGO = datetime(1980, 1, 2, tzinfo=UTC)
CHEAPER_SINCE = datetime(2005, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
WITHDRAWN_SINCE = datetime(2015, 7, 1, 0, 0, 30, tzinfo=UTC)
# Nanodollars per million tokens of input and of output. Costs need rounding, and many are ties.
FLAT, DEAR, CHEAP = (150_500_000, 600_500_000), (3_000_000_500, 15_000_000_007), (500_000, 3)
DELETABLE = ((PROVIDER, "brief"), (MODEL, "passing"), (MODEL, "retired"), (CHAIN, "short"))
_PROVIDER_OF = {"free": "local", "namesake": "other", "passing": "brief"}


@dataclass
class StoryWorld:
    """The objects that stories name, by their names there, and what was recorded of them."""

    services: Services
    clock: SetClock
    told: int = 0
    ids: dict[str, int] = field(default_factory=dict)
    slugs: dict[str, str] = field(default_factory=dict)
    names: dict[tuple[UsageDimension, int], Name] = field(default_factory=dict)
    # What questions filter by: every id that a name ever had in a story.
    ever: dict[tuple[UsageDimension, str], list[int]] = field(default_factory=dict)
    seen: dict[str, NewUsageEvent] = field(default_factory=dict)
    happened: list[Happened] = field(default_factory=list)

    def know(self, dimension: UsageDimension, name: str, object_id: int, label: str) -> None:
        self.ids[name] = object_id
        self.names[dimension, object_id] = Name(label, living=True)
        self.ever.setdefault((dimension, name), []).append(object_id)

    def forget(self, dimension: UsageDimension, name: str) -> None:
        known = dimension, self.ids[name]
        self.names[known] = Name(self.names[known].label, living=False)

    async def add_provider(self, name: str, slug: str, label: str, kind: ProviderKind) -> None:
        compatible = kind is ProviderKind.OPENAI_COMPATIBLE
        row = await create_provider(
            self.services,
            NewProvider(
                slug=slug,
                name=label,
                kind=kind,
                base_url="http://127.0.0.1:9/v1" if compatible else None,
            ),
        )
        self.know(PROVIDER, name, row.id, label)
        self.slugs[name] = slug

    async def add_model(
        self, name: str, provider: str, wire_name: str, price: tuple[int, int] | None = None
    ) -> ModelRow:
        row = await create_model(
            self.services,
            NewModel(
                provider_id=self.ids[provider],
                wire_name=wire_name,
                price_override=None if price is None else override(price),
            ),
        )
        self.know(MODEL, name, row.id, wire_name)
        return row

    async def add_chain(self, name: str, slug: str) -> None:
        steps = [StepInput(model_id=self.ids["flat"])]
        row = await create_chain(
            self.services, NewChain(name=f"Chain {name}", slug=slug, steps=steps)
        )
        self.know(CHAIN, name, row.id, f"Chain {name}")
        self.slugs[name] = slug

    async def begin_story(self) -> None:
        """An empty store, and fresh objects that the story may delete."""

        async def empty(connection: Connection) -> None:
            await connection.execute(delete(usage_events))
            await connection.execute(delete(usage_rollups))

        await self.services.database.transact(empty)
        self.seen.clear()
        self.happened.clear()
        self.told += 1
        for dimension, name in DELETABLE:
            self.ever[dimension, name] = []
        await self._add_passing("Brief")
        await self.add_model("retired", "compatible", f"retired-{self.told}")

    async def _add_passing(self, label: str) -> None:
        await self.add_provider(
            "brief", f"brief-{self.told}", label, ProviderKind.OPENAI_COMPATIBLE
        )
        await self.add_model("passing", "brief", "passing")
        await self.add_chain("short", f"short-{self.told}")

    async def delete_and_add_again(self) -> None:
        """Under the same slugs: other objects, whose histories stay apart."""
        await delete_chain(self.services, self.ids["short"], None)
        await delete_provider(self.services, self.ids["brief"], None)
        await delete_model(self.services, self.ids["retired"], None)
        for dimension, name in DELETABLE:
            self.forget(dimension, name)
        await self._add_passing("Brief again")
        # Usage that still names a deleted model adds it anew; here it goes to another.
        self.ids["retired"] = self.ids["unknown"]

    def event(self, draft: Draft) -> NewUsageEvent:
        provider = _PROVIDER_OF.get(draft.target, "compatible")
        given, read, wrote, written, thought = draft.tokens
        return NewUsageEvent(
            idempotency_key=draft.key,
            provider_slug=self.slugs[provider],
            model_name=self.names[MODEL, self.ids[draft.target]].label,
            agent=draft.agent,
            failover_chain_slug=None if draft.chain is None else self.slugs[draft.chain],
            occurred_at=draft.at,
            succeeded=draft.succeeded,
            input_tokens=given,
            cache_read_tokens=read,
            cache_write_tokens=wrote,
            output_tokens=written,
            reasoning_tokens=thought,
            estimated=draft.estimated,
            latency_ms=draft.latency,
            cost_nanos=draft.cost,
        )

    def happen(self, draft: Draft) -> Happened:
        provider = _PROVIDER_OF.get(draft.target, "compatible")
        moment = min(draft.at or self.clock(), self.clock())
        return Happened(
            at=moment,
            provider=self.ids[provider],
            model=self.ids[draft.target],
            agent=draft.agent or "",
            chain=0 if draft.chain is None else self.ids[draft.chain],
            succeeded=draft.succeeded,
            tokens=draft.tokens,
            estimated=draft.estimated,
            cost=cost_of(draft, moment) if draft.cost is None else draft.cost,
            latency=draft.latency,
        )

    async def record(self, calls: Sequence[Sequence[Draft]]) -> None:
        """These calls at once; an event whose key came before is sent as it was then."""
        sent, new = [], 0
        for call in calls:
            for draft in call:
                if draft.key not in self.seen:
                    self.seen[draft.key] = self.event(draft)
                    self.happened.append(self.happen(draft))
                    new += 1
            sent.append([self.seen[draft.key] for draft in call])
        done = await asyncio.gather(*(record_usage(self.services, events) for events in sent))
        assert sum(one.recorded for one in done) == new
        assert sum(one.duplicates for one in done) == sum(map(len, sent)) - new

    def request(self, question: Question) -> SeriesRequest:
        def ids(
            dimension: UsageDimension, listed: tuple[str, ...] | None
        ) -> tuple[int, ...] | None:
            if listed is None:
                return None
            known: dict[str, list[int]] = {"none": [0], "nothing": [2**62]}
            return tuple(
                one for name in listed for one in known.get(name) or self.ever[dimension, name]
            )

        return SeriesRequest(
            dimension=question.dimension,
            window=question.window,
            condition=UsageCondition(
                provider_ids=ids(PROVIDER, question.providers),
                model_ids=ids(MODEL, question.models),
                agents=question.agents,
                chain_ids=ids(CHAIN, question.chains),
            ),
            top_groups=question.top_groups,
            rank_by=question.rank_by,
            with_percentiles=question.with_percentiles,
            with_previous=question.with_previous,
        )


def override(price: tuple[int, int]) -> PriceOverride:
    return PriceOverride(input_per_million=price[0], output_per_million=price[1])


def cost_of(draft: Draft, at: datetime) -> int | None:
    """By the price in force when it happened, where the provider billed nothing."""
    if draft.target == "free":
        return 0
    if draft.target == "flat":
        return flat_cost(FLAT, draft.tokens)
    if draft.target == "dated" and at < CHEAPER_SINCE:
        return flat_cost(DEAR, draft.tokens)
    if draft.target == "dated" and at < WITHDRAWN_SINCE:
        return flat_cost(CHEAP, draft.tokens)
    return None


async def make_world(services: Services, clock: SetClock) -> StoryWorld:
    """With what no story deletes: prices of every kind, one of which changed and ended."""
    made = StoryWorld(services, clock)
    clock.now = LONG_AGO
    compatible = ProviderKind.OPENAI_COMPATIBLE
    await made.add_provider("compatible", "compatible", "Compatible", compatible)
    await made.add_provider("other", "other", "Other", compatible)
    await made.add_provider("local", "local", "Local", ProviderKind.OLLAMA)
    await made.add_model("flat", "compatible", "flat", FLAT)
    await made.add_model("unknown", "compatible", "unknown")
    await made.add_model("free", "local", "free")
    await made.add_model("namesake", "other", "flat")
    dated = await made.add_model("dated", "compatible", "dated", DEAR)
    clock.now = CHEAPER_SINCE
    await update_model(services, ModelUpdate(id=dated.id, price_override=override(CHEAP)))
    clock.now = WITHDRAWN_SINCE
    await update_model(services, ModelUpdate(id=dated.id, price_override=None))
    await made.add_chain("support", "support")
    return made
