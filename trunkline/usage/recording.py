"""The use case that records usage: checked, named, priced, stored with its rollups, told.

One transaction holds all of it. When `record_usage` returns, the events are on disk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from db import chains as stored_chains
from db import models as stored_models
from db import providers as stored_providers
from db import usage as store
from db.chains import ChainRow
from db.engine import Connection
from db.models import ModelRow
from db.overrides import OverrideRow, load_overrides
from db.providers import ProviderRow
from db.usage import NewEventRow, TotalTooLarge
from db.vocabulary import ChangeKind, ModelSource
from trunkline.catalog.seeding import known_row, price_without_override
from trunkline.changes import Problems
from trunkline.errors import ProblemCode
from trunkline.events import ModelChanged, UsageRecorded
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent, check_events, fingerprint
from trunkline.usage.rates import Rates, TokenCounts, flat_rates


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many events were counted, and how many had been before."""

    recorded: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class _Done:
    recorded: Recorded
    as_of: datetime | None
    added: tuple[ModelChanged, ...]


ModelName = tuple[int, str]


async def record_usage(services: Services, events: Sequence[NewUsageEvent]) -> Recorded:
    """Record all of these events, or none. Raises `Refused` with every problem.

    An event under a key that was recorded before counts nothing; with other contents it is
    KEY_REUSED.
    """
    now = services.clock()
    problems = Problems()
    check_events(problems, events, now)
    problems.refuse_if_any()

    async def record(connection: Connection) -> _Done:
        return await _record(services, connection, events, now)

    try:
        done = await services.database.transact(record)
    except TotalTooLarge:
        problems.invalid(("events",), "a total would exceed what can be summed exactly")
        problems.refuse_if_any()
        raise
    services.events.publish(*done.added)
    if done.as_of is not None:
        services.events.publish(UsageRecorded(done.as_of))
    return done.recorded


async def _record(
    services: Services,
    connection: Connection,
    events: Sequence[NewUsageEvent],
    now: datetime,
) -> _Done:
    problems = Problems()
    providers = await stored_providers.load_providers_by_slug(
        connection, sorted({event.provider_slug for event in events})
    )
    slugs = sorted({event.failover_chain_slug for event in events if event.failover_chain_slug})
    chains = await stored_chains.load_chains_by_slug(connection, slugs)
    prints = {}
    fresh: dict[str, NewUsageEvent] = {}
    for place, event in enumerate(events):
        path = ("events", str(place))
        key = event.idempotency_key
        printed = fingerprint(event)
        if prints.setdefault(key, printed) != printed:
            _reused(problems, path)
        fresh.setdefault(key, event)
        if event.provider_slug not in providers:
            problems.add(
                ProblemCode.NOT_FOUND,
                (*path, "providerSlug"),
                "there is no such provider: create it first",
            )
        if event.failover_chain_slug is not None and event.failover_chain_slug not in chains:
            problems.add(
                ProblemCode.NOT_FOUND, (*path, "failoverChainSlug"), "there is no such chain"
            )
    stored = await store.load_fingerprints(connection, sorted(fresh))
    _check_reuse(problems, events, prints, stored)
    problems.refuse_if_any()
    fresh = {key: event for key, event in fresh.items() if key not in stored}
    if not fresh:
        return _Done(Recorded(0, len(events)), None, ())
    models, added = await _find_or_add_models(services, connection, providers, fresh, now)
    rows = await _price(services, connection, fresh, prints, providers, chains, models, now)
    inserted = await store.insert_events(connection, rows, now=now)
    if len(inserted) < len(rows):
        # Another process recorded some of these keys since we looked.
        since = [row.idempotency_key for row in rows if row.idempotency_key not in inserted]
        stored = await store.load_fingerprints(connection, sorted(since))
        _check_reuse(problems, events, prints, stored)
        problems.refuse_if_any()
    counted = [row for row in rows if row.idempotency_key in inserted]
    await store.add_to_rollups(connection, counted)
    as_of = await store.advance_clock(connection, now)
    return _Done(Recorded(len(counted), len(events) - len(counted)), as_of, added)


def _check_reuse(
    problems: Problems,
    events: Sequence[NewUsageEvent],
    prints: Mapping[str, bytes],
    stored: Mapping[str, bytes],
) -> None:
    for place, event in enumerate(events):
        recorded = stored.get(event.idempotency_key)
        if recorded is not None and recorded != prints[event.idempotency_key]:
            _reused(problems, ("events", str(place)))


def _reused(problems: Problems, path: tuple[str, ...]) -> None:
    problems.add(
        ProblemCode.KEY_REUSED,
        (*path, "idempotencyKey"),
        "another event with other contents has this key: a key names one event for ever",
    )


async def _find_or_add_models(
    services: Services,
    connection: Connection,
    providers: Mapping[str, ProviderRow],
    events: Mapping[str, NewUsageEvent],
    now: datetime,
) -> tuple[Mapping[ModelName, ModelRow], tuple[ModelChanged, ...]]:
    """The models that the events name; those that a provider lacks are added as DISCOVERED."""
    names = sorted(
        {(providers[event.provider_slug].id, event.model_name) for event in events.values()}
    )
    found = dict(await stored_models.load_models_by_name(connection, names))
    by_id = {provider.id: provider for provider in providers.values()}
    missing: dict[int, list[str]] = {}
    for provider_id, wire_name in names:
        if (provider_id, wire_name) not in found:
            missing.setdefault(provider_id, []).append(wire_name)
    if not missing:
        return found, ()
    changes = []
    for provider_id, wire_names in sorted(missing.items()):
        provider = by_id[provider_id]
        rows = [_discovered(services, provider, name, now) for name in wire_names]
        added = await stored_models.insert_models(connection, provider_id, rows, now=now)
        changes += [
            ModelChanged(
                kind=ChangeKind.CREATED,
                id=model_id,
                provider_id=provider_id,
                provider_slug=provider.slug,
            )
            for model_id in added.values()
        ]
    return await stored_models.load_models_by_name(connection, names), tuple(changes)


def _discovered(
    services: Services, provider: ProviderRow, wire_name: str, now: datetime
) -> stored_models.NewModelRow:
    known = (
        services.catalog.find_model(provider.known_provider, wire_name, now)
        if provider.known_provider is not None
        else None
    )
    details = known_row(known, source=ModelSource.DISCOVERED) if known is not None else None
    return stored_models.NewModelRow(
        wire_name=wire_name,
        # By the name that was used: what the price data takes it for may be its next of kin.
        name=wire_name,
        description=details.description if details else None,
        context_window=details.context_window if details else None,
        max_output_tokens=details.max_output_tokens if details else None,
        capabilities=details.capabilities if details else None,
        pricing=price_without_override(services.catalog, provider, wire_name, now),
        source=ModelSource.DISCOVERED,
    )


async def _price(
    services: Services,
    connection: Connection,
    events: Mapping[str, NewUsageEvent],
    prints: Mapping[str, bytes],
    providers: Mapping[str, ProviderRow],
    chains: Mapping[str, ChainRow],
    models: Mapping[ModelName, ModelRow],
    now: datetime,
) -> list[NewEventRow]:
    overrides = await load_overrides(connection, [model.id for model in models.values()])
    rows = []
    for key, event in events.items():
        provider = providers[event.provider_slug]
        model = models[(provider.id, event.model_name)]
        occurred = min(event.occurred_at or now, now)
        cost = services.prices.cost_nanos(
            kind=provider.kind,
            known_provider=provider.known_provider,
            wire_name=model.wire_name,
            at=occurred,
            tokens=TokenCounts(*event.tokens),
            override=_override_at(overrides.get(model.id, ()), occurred),
            billed_nanos=event.cost_nanos,
        )
        rows.append(
            NewEventRow(
                idempotency_key=key,
                fingerprint=prints[key],
                occurred_at=occurred,
                provider_id=provider.id,
                model_id=model.id,
                agent=event.agent or "",
                chain_id=chains[event.failover_chain_slug].id if event.failover_chain_slug else 0,
                succeeded=event.succeeded,
                input_tokens=event.input_tokens,
                cache_read_tokens=event.cache_read_tokens,
                cache_write_tokens=event.cache_write_tokens,
                output_tokens=event.output_tokens,
                reasoning_tokens=event.reasoning_tokens,
                estimated=event.estimated,
                cost_nanos=cost,
                latency_ms=event.latency_ms,
            )
        )
    return rows


def _override_at(overrides: Sequence[OverrideRow], at: datetime) -> Rates | None:
    """The override in force at an instant: the last that began by then, unless it ended one."""
    began = [override for override in overrides if override.effective_from <= at]
    if not began or began[-1].input_per_million is None or began[-1].output_per_million is None:
        return None
    last = began[-1]
    return flat_rates(
        input_nanos=last.input_per_million or 0,
        output_nanos=last.output_per_million or 0,
        cache_read_nanos=last.cache_read_per_million,
        cache_write_nanos=last.cache_write_per_million,
    )
