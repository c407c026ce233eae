"""Reads what a request asks for from the database: a chain, or a model as a chain of one step."""

from collections.abc import Mapping

from db import chains as stored_chains
from db import models as stored_models
from db import providers as stored_providers
from db.engine import Connection
from db.models import ModelRow
from db.provider_rows import KINDS_WITHOUT_KEY, ProviderRow
from db.vocabulary import Delivery
from trunkline.changes import LONGEST_NAME, LONGEST_SLUG, unstorable_character
from trunkline.failover.attempts import ResolvedStep, Skipped
from trunkline.failover.steps import (
    DEFAULT_FIRST_TOKEN_TIMEOUT_SECONDS,
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT_SECONDS,
)
from trunkline.gateway.configuration import GatewayModel, GatewayProvider, Runnable
from trunkline.providers.adapter import SecretHeaders
from trunkline.providers.changes import stored_api_key
from trunkline.providers.connection import ADAPTERS
from trunkline.providers.extra_headers import extra_headers_of
from trunkline.secrets import SecretUnreadable
from trunkline.services import Services

CHAIN_PREFIX = "chain/"
_LONGEST = LONGEST_SLUG + 1 + LONGEST_NAME


async def find_runnable(services: Services, name: str) -> Runnable | None:
    """What this name stands for: `chain/<slug>` or `<provider slug>/<wire name>`. None where there
    is none, or it is switched off.
    """
    configuration = services.gateway.configuration
    known = configuration.get(name)
    if known is not None:
        return known
    if "/" not in name or len(name) > _LONGEST or unstorable_character(name):
        return None
    generation = configuration.generation
    found = await _read(services, name)
    if found is not None:
        configuration.keep(found, generation)
    return found


async def find_chain(services: Services, chain_id: int) -> Runnable | None:
    """The living chain with this id, also where it is switched off."""
    async with services.database.read() as connection:
        chain = (await stored_chains.load_chains(connection, [chain_id])).get(chain_id)
        return None if chain is None else await _chain(services, connection, chain)


async def _read(services: Services, name: str) -> Runnable | None:
    async with services.database.read() as connection:
        if name.startswith(CHAIN_PREFIX):
            slug = name.removeprefix(CHAIN_PREFIX)
            chain = (await stored_chains.load_chains_by_slug(connection, [slug])).get(slug)
            if chain is not None and chain.enabled:
                return await _chain(services, connection, chain)
            # A provider may be called "chain" too.
        return await _one_model(services, connection, name)


async def _chain(
    services: Services, connection: Connection, chain: stored_chains.ChainRow
) -> Runnable:
    rows = await stored_models.load_models(connection, [step.model_id for step in chain.steps])
    providers = await stored_providers.load_providers(
        connection, sorted({row.provider_id for row in rows.values()})
    )
    steps = []
    models = {}
    for step in chain.steps:
        row = rows.get(step.model_id)
        provider = None if row is None else providers.get(row.provider_id)
        if row is None or provider is None:
            continue  # Deleted in the moment in which the chain was read.
        model, skip = _model(services, provider, row)
        models[row.id] = model
        steps.append(
            ResolvedStep(
                id=step.id,
                model_id=row.id,
                provider_id=provider.id,
                label=model.label,
                max_retries=step.max_retries,
                timeout_seconds=step.timeout_seconds,
                first_token_timeout_seconds=step.first_token_timeout_seconds,
                context_window=row.context_window,
                skip=skip,
            )
        )
    return Runnable(
        name=CHAIN_PREFIX + chain.slug,
        chain_id=chain.id,
        delivery=chain.delivery,
        steps=tuple(steps),
        models=models,
    )


async def _one_model(services: Services, connection: Connection, name: str) -> Runnable | None:
    slug, _, wire_name = name.partition("/")
    if not 0 < len(slug) <= LONGEST_SLUG or not wire_name:
        return None
    provider = (await stored_providers.load_providers_by_slug(connection, [slug])).get(slug)
    if provider is None or not provider.enabled:
        return None
    row = await stored_models.find_model_by_name(connection, provider.id, wire_name)
    if row is None or not row.enabled:
        return None
    model, skip = _model(services, provider, row)
    step = ResolvedStep(
        id=None,
        model_id=row.id,
        provider_id=provider.id,
        label=model.label,
        max_retries=DEFAULT_RETRIES,
        timeout_seconds=DEFAULT_TIMEOUT_SECONDS,
        first_token_timeout_seconds=DEFAULT_FIRST_TOKEN_TIMEOUT_SECONDS,
        context_window=row.context_window,
        skip=skip,
    )
    return Runnable(
        name=name,
        chain_id=0,
        delivery=Delivery.STREAMED,
        steps=(step,),
        models={row.id: model},
    )


def _model(
    services: Services, provider: ProviderRow, row: ModelRow
) -> tuple[GatewayModel, Skipped | None]:
    adapter = ADAPTERS[provider.kind]
    skip = None if provider.enabled and row.enabled else Skipped.DISABLED
    api_key = None
    own: Mapping[str, str] = {}
    try:
        api_key = stored_api_key(services, provider)
        own = extra_headers_of(services, provider)
    except SecretUnreadable:
        skip = skip or Skipped.NO_API_KEY
    if api_key is None and provider.kind not in KINDS_WITHOUT_KEY:
        skip = skip or Skipped.NO_API_KEY
    used = GatewayProvider(
        provider.id,
        provider.kind,
        provider.known_provider,
        adapter.root(provider.base_url),
        SecretHeaders({**own, "Content-Type": "application/json", **adapter.headers(api_key)}),
    )
    capabilities = None if row.capabilities is None else frozenset(row.capabilities)
    label = f"{provider.slug}/{row.wire_name}"
    return GatewayModel(row.id, row.wire_name, label, used, capabilities), skip
