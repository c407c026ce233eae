"""What a first start finds: four providers with their catalogs and without keys.

Seeded once for the life of a database: a provider that an operator deleted does not come back.
"""

from datetime import datetime

from db import providers as store
from db.engine import Connection, Database
from db.installation import hold_installation, install_value, installed_value
from db.vocabulary import ProviderKind
from trunkline.audit.actors import SYSTEM
from trunkline.audit.changes import Changes, created, leave_entries
from trunkline.audit.showing import shown_provider
from trunkline.catalog.known import KnownCatalog
from trunkline.catalog.seeding import seed_catalog
from trunkline.clock import Clock
from trunkline.events import ModelChanged, ProviderChanged
from trunkline.processes.announcing import count_seeding
from trunkline.providers.kinds import default_base_url

_FIRST_PROVIDERS = (
    ("anthropic", "Anthropic", ProviderKind.ANTHROPIC),
    ("openai", "OpenAI", ProviderKind.OPENAI),
    ("google", "Google", ProviderKind.GOOGLE),
    ("ollama", "Ollama", ProviderKind.OLLAMA),
)
_SEEDED = "providers_seeded_at"


async def seed_providers(database: Database, catalog: KnownCatalog, clock: Clock) -> bool:
    """Seed an empty database. True where this call did it; several processes may call at once."""

    async def seed(connection: Connection) -> bool:
        await hold_installation(connection)
        if await installed_value(connection, _SEEDED) is not None:
            return False
        now = clock()
        seeded: Changes = ()
        for slug, name, kind in _FIRST_PROVIDERS:
            seeded += await _seed_one(connection, catalog, slug, name, kind, now)
        await install_value(connection, _SEEDED, now.isoformat())
        await leave_entries(connection, SYSTEM, "seedProviders", seeded, now)
        await count_seeding(connection, (ProviderChanged, ModelChanged), now)
        return True

    return await database.transact(seed)


async def _seed_one(
    connection: Connection,
    catalog: KnownCatalog,
    slug: str,
    name: str,
    kind: ProviderKind,
    now: datetime,
) -> Changes:
    base_url = default_base_url(kind)
    if base_url is None:
        raise LookupError(f"{kind} has no default URL to seed")
    provider_id = await store.insert_provider(
        connection,
        slug=slug,
        name=name,
        kind=kind,
        base_url=base_url,
        enabled=True,
        known_provider=catalog.find_provider(kind, slug, base_url),
        now=now,
    )
    provider = None if provider_id is None else await store.find_provider(connection, provider_id)
    if provider is None:
        return ()
    await seed_catalog(connection, catalog, provider, now=now)
    return created(shown_provider(provider))
