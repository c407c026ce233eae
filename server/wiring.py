"""Makes the services from the settings.

The place where the parts of the work are wired together; `serving.py` puts the front door before
them. Whatever is opened here is closed here. GraphQL stays out: commands need none, and importing
it takes them a third of a second.
"""

import gc
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from db.database_url import BadDatabaseUrl
from db.engine import Database
from db.failing import StoreUnavailable
from db.installation import installation_id
from db.migrate import DatabaseTooNew, migrate
from server.credentials import Credentials, credentials
from server.failures import CannotStart
from server.secret_check import require_readable
from server.settings import DEFAULT_MOST_AGENTS, PREFIX, Settings
from trunkline.audit.actors import SYSTEM, Actor, command_line
from trunkline.budgets.running import running_budgets
from trunkline.catalog.known import KnownCatalog
from trunkline.catalog.seeding import refresh_catalog
from trunkline.clock import Clock, system_clock
from trunkline.events import EventBus
from trunkline.failover.slots import DEFAULT_RUNNING
from trunkline.gateway.running import running_gateway
from trunkline.gateway.state import GatewayState
from trunkline.gateway.traces import RequestTraces
from trunkline.processes.announcing import COMMAND_LINE, Announcer
from trunkline.processes.bus import Bus, NoBus
from trunkline.processes.following import following
from trunkline.providers.outgoing import Outgoing, PrivateNetworks
from trunkline.providers.proxies import BadProxySetting, Proxies
from trunkline.providers.seeding import seed_providers
from trunkline.providers.trust import BadTrustSetting, trusted_certificates
from trunkline.secrets import Secrets
from trunkline.services import Services
from trunkline.usage.agents import KnownAgents
from trunkline.usage.hub import UsageHub
from trunkline.usage.pricing import PriceBook
from trunkline.usage.retention import expiring


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database at this program's schema. Raises `CannotStart`."""
    try:
        database = Database.open(settings.database_url)
    except BadDatabaseUrl as error:
        raise CannotStart(f"{PREFIX}DATABASE_URL: {error}") from error
    try:
        await _migrate(database)
        yield database
    finally:
        await database.close()


def collect_seldom() -> None:
    """Have a process that is about to serve look for garbage seldom, and in what is new alone."""
    # What is loaded by now stays: collections needn't look at all of it again, which took a fifth
    # of the time of recording.
    gc.freeze()
    # Requests leave few cycles behind: looking for them at each 700 objects took a thirtieth of
    # the gateway's time.
    gc.set_threshold(10_000, 20, 20)


@asynccontextmanager
async def running_services(
    settings: Settings, held: Credentials | None = None, traces: RequestTraces | None = None
) -> AsyncIterator[Services]:
    """Everything that the work needs, on a database that was migrated and seeded.

    Raises `CannotStart`. `held` saves reading the credentials twice.
    """
    known = held or credentials(settings)
    proxies, trust = ways_out()
    catalog = KnownCatalog()
    async with open_database(settings) as database:
        await require_readable(database, known)
        await seed_providers(database, catalog, system_clock)
        await refresh_catalog(database, catalog, system_clock)
        async with (
            open_bus(settings, database) as bus,
            services_on(
                database,
                known.secrets,
                catalog=catalog,
                private_networks=private_networks(settings),
                proxies=proxies,
                trust=trust,
                most_agents=settings.most_agents,
                provider_concurrency=settings.provider_concurrency,
                bus=bus,
                traces=traces,
            ) as services,
        ):
            collect_seldom()
            # Following begins before anything is read that others may change.
            async with (
                following(services),
                running_budgets(services),
                running_gateway(services),
                expiring(database, settings.event_retention_days, services.clock),
            ):
                yield services


@asynccontextmanager
async def command_services(settings: Settings) -> AsyncIterator[Services]:
    """What a command needs that changes the store, beside servers or without any.

    Servers hear of what it commits; it doesn't hear of what they do. Raises `CannotStart`.
    """
    held = credentials(settings)
    proxies, trust = ways_out()
    async with (
        open_database(settings) as database,
        open_bus(settings, database) as bus,
        services_on(
            database,
            held.secrets,
            private_networks=private_networks(settings),
            proxies=proxies,
            trust=trust,
            most_agents=settings.most_agents,
            bus=bus,
            writer=COMMAND_LINE,
            actor=command_line(),
        ) as services,
    ):
        yield services


@asynccontextmanager
async def open_bus(settings: Settings, database: Database) -> AsyncIterator[Bus]:
    """The bus of the settings. Raises `CannotStart`, but not where Redis is away."""
    if settings.bus_url is None:
        yield NoBus()
        return
    # Takes a moment to import, and most go without.
    from trunkline.processes.redis_bus import BadBusUrl, redis_bus

    url = settings.bus_url.reveal()
    try:
        async with redis_bus(url, await installation_id(database)) as bus:
            yield bus
    except BadBusUrl as error:
        raise CannotStart(f"{PREFIX}BUS_URL: {error}") from None


@asynccontextmanager
async def services_on(
    database: Database,
    secrets: Secrets,
    *,
    clock: Clock = system_clock,
    catalog: KnownCatalog | None = None,
    private_networks: PrivateNetworks = "default",
    proxies: Proxies | None = None,
    trust: ssl.SSLContext | None = None,
    most_agents: int = DEFAULT_MOST_AGENTS,
    provider_concurrency: int = DEFAULT_RUNNING,
    bus: Bus | None = None,
    writer: str | None = None,
    actor: Actor = SYSTEM,
    traces: RequestTraces | None = None,
) -> AsyncIterator[Services]:
    """Everything that the work needs on a database that is open and migrated.

    `bus` brings word to other processes, and `writer` is this one's name there: a new one where
    it is left out. `actor` is in whose name it changes configuration of itself.
    """
    known = catalog or KnownCatalog()
    events = EventBus()
    async with Outgoing(private_networks, proxies=proxies, trust=trust) as outgoing:
        services = Services(
            database=database,
            events=events,
            secrets=secrets,
            clock=clock,
            outgoing=outgoing,
            catalog=known,
            prices=PriceBook(known),
            hub=UsageHub(database, events, clock),
            started_at=clock(),
            agents=KnownAgents(most_agents),
            announcer=Announcer(clock, writer=writer, bus=bus),
            actor=actor,
            gateway=GatewayState.new(events, clock, most_running=provider_concurrency),
            traces=traces,
        )
        yield services
        await services.recording.drain()


def private_networks(settings: Settings) -> PrivateNetworks:
    """Who may go to private addresses: "allow" is each kind's own default."""
    return "default" if settings.private_networks == "allow" else settings.private_networks


def ways_out() -> tuple[Proxies, ssl.SSLContext | None]:
    """The proxies and certificates of the environment. Raises `CannotStart`."""
    try:
        return Proxies.from_environment(os.environ), trusted_certificates(os.environ)
    except (BadProxySetting, BadTrustSetting) as error:
        raise CannotStart(str(error)) from error


async def _migrate(database: Database) -> None:
    try:
        await migrate(database)
    except DatabaseTooNew as error:
        raise CannotStart(str(error)) from error
    except StoreUnavailable as error:
        raise CannotStart(f"{PREFIX}DATABASE_URL: {error}") from error
    except Exception as error:
        # Whatever a driver says of a database that isn't there, is full, or is something else.
        said = str(error).strip().partition("\n")[0]
        raise CannotStart(
            f"{PREFIX}DATABASE_URL: the database can't be used: {type(error).__name__}: {said}"
        ) from error
