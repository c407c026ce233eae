"""What the names in a batch of events stand for: providers, chains, keys used before, models."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from db import chains as stored_chains
from db import models as stored_models
from db import providers as stored_providers
from db import usage as store
from db.chains import ChainRow
from db.engine import Connection
from db.models import ModelRow
from db.provider_rows import ProviderRow
from db.vocabulary import ChangeKind, ModelSource
from trunkline.catalog.seeding import known_row, price_without_override
from trunkline.changes import LONGEST_SLUG, Problems, unstorable_character
from trunkline.errors import ProblemCode
from trunkline.events import ModelChanged
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent, fingerprint

ModelName = tuple[int, str]
"""A provider's id and a wire name."""


@dataclass(frozen=True, slots=True)
class Named:
    """What the names in a batch stand for, and the fingerprints of its keys."""

    providers: Mapping[str, ProviderRow]
    chains: Mapping[str, ChainRow]
    prints: Mapping[str, bytes]
    # Of keys that were recorded before.
    stored: Mapping[str, bytes]


async def look_up(
    connection: Connection,
    events: Sequence[NewUsageEvent],
    problems: Problems,
    faulty: Collection[int] = (),
) -> Named:
    """Look up every name, noting those that name nothing and keys that name something else.

    The keys of events at the places `faulty` are left alone: they name nothing that could be
    recorded.
    """
    providers = await stored_providers.load_providers_by_slug(
        connection, _findable({event.provider_slug for event in events})
    )
    chains = await stored_chains.load_chains_by_slug(
        connection, _findable({event.failover_chain_slug or "" for event in events})
    )
    printed = {
        place: fingerprint(event) for place, event in enumerate(events) if place not in faulty
    }
    keys = {events[place].idempotency_key for place in printed}
    stored = await store.load_fingerprints(connection, sorted(keys))
    prints: dict[str, bytes] = {}
    for place, event in enumerate(events):
        path = ("events", str(place))
        if place in printed:
            key = event.idempotency_key
            first = prints.setdefault(key, printed[place])
            if printed[place] != stored.get(key, first):
                _reused(problems, path)
            elif key in stored:
                continue  # Counted before, whatever has become of what it names.
        if event.provider_slug not in providers:
            _no_provider(problems, path)
        if event.failover_chain_slug is not None and event.failover_chain_slug not in chains:
            problems.add(
                ProblemCode.NOT_FOUND, (*path, "failoverChainSlug"), "there is no such chain"
            )
    return Named(providers, chains, prints, stored)


async def find_or_add_models(
    services: Services,
    connection: Connection,
    named: Named,
    events: Sequence[NewUsageEvent],
    fresh: Mapping[str, NewUsageEvent],
    now: datetime,
) -> tuple[Mapping[ModelName, ModelRow], tuple[ModelChanged, ...]]:
    """The models that fresh events name; those that a provider lacks are added as DISCOVERED.

    Raises `Refused` where a provider was deleted since it was looked up: it takes no more models.
    """
    names = sorted(
        {(named.providers[event.provider_slug].id, event.model_name) for event in fresh.values()}
    )
    found = await stored_models.load_models_by_name(connection, names)
    by_id = {provider.id: provider for provider in named.providers.values()}
    missing: dict[int, list[str]] = {}
    for provider_id, wire_name in names:
        if (provider_id, wire_name) not in found:
            missing.setdefault(provider_id, []).append(wire_name)
    if not missing:
        return found, ()
    living = await store.hold_providers(connection, sorted(missing))
    problems = Problems()
    for place, event in enumerate(events):
        provider = named.providers.get(event.provider_slug)
        if provider is not None and provider.id in missing and provider.id not in living:
            _no_provider(problems, ("events", str(place)))
    problems.refuse_if_any()
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


def check_reuse(
    problems: Problems,
    events: Sequence[NewUsageEvent],
    prints: Mapping[str, bytes],
    stored: Mapping[str, bytes],
) -> None:
    """Note KEY_REUSED for each event whose key was recorded with other contents."""
    for place, event in enumerate(events):
        key = event.idempotency_key
        if key in stored and stored[key] != prints[key]:
            _reused(problems, ("events", str(place)))


def _findable(slugs: Collection[str]) -> list[str]:
    """Those that a slug could be: the databases refuse to look for some texts."""
    return sorted(
        slug for slug in slugs if 0 < len(slug) <= LONGEST_SLUG and not unstorable_character(slug)
    )


def _reused(problems: Problems, path: tuple[str, ...]) -> None:
    problems.add(
        ProblemCode.KEY_REUSED,
        (*path, "idempotencyKey"),
        "another event with other contents has this key: a key names one event for ever",
    )


def _no_provider(problems: Problems, path: tuple[str, ...]) -> None:
    problems.add(
        ProblemCode.NOT_FOUND,
        (*path, "providerSlug"),
        "there is no such provider: create it first",
    )


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
