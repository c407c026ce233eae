"""Makes the services from the settings, and the application from the services.

The only place where parts are wired together. Whatever is opened here is closed here.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from db.engine import BadDatabaseUrl, Database
from db.installation import installed_value
from db.migrate import DatabaseTooNew, migrate
from resolvers.context import OperationContext, Viewer
from schema.root import schema
from server.app import FrontDoor
from server.credentials import Credentials, credentials
from server.failures import CannotStart
from server.settings import PREFIX, Settings
from server.sign_in import Gate
from trunkline.catalog.known import KnownCatalog
from trunkline.catalog.seeding import refresh_catalog
from trunkline.clock import system_clock
from trunkline.events import EventBus
from trunkline.providers.outgoing import Outgoing
from trunkline.providers.seeding import seed_providers
from trunkline.services import Services
from trunkline.usage.hub import UsageHub
from trunkline.usage.pricing import PriceBook


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


@asynccontextmanager
async def running_services(
    settings: Settings, held: Credentials | None = None
) -> AsyncIterator[Services]:
    """Everything that the work needs, on a database that was migrated and seeded.

    Raises `CannotStart`. `held` saves reading the credentials twice.
    """
    known = held or credentials(settings)
    async with (
        open_database(settings) as database,
        Outgoing("deny" if settings.private_networks == "deny" else "default") as outgoing,
    ):
        catalog = KnownCatalog()
        await seed_providers(database, catalog, system_clock)
        await refresh_catalog(database, catalog, system_clock)
        events = EventBus()
        yield Services(
            database=database,
            events=events,
            secrets=known.secrets,
            clock=system_clock,
            outgoing=outgoing,
            catalog=catalog,
            prices=PriceBook(catalog),
            hub=UsageHub(database, events, system_clock),
            started_at=system_clock(),
        )


def front_door(services: Services, settings: Settings, admin_token: str) -> FrontDoor:
    """The application's parts for these services."""

    def make_context(viewer: Viewer, request_id: str) -> OperationContext:
        return OperationContext(services, viewer, request_id)

    async def check_ready() -> None:
        async with services.database.read() as connection:
            await installed_value(connection, "ready")

    return FrontDoor(
        schema=schema,
        make_context=make_context,
        gate=Gate(services.database, services.clock, admin_token),
        check_ready=check_ready,
        allowed_hosts=settings.hosts,
        allowed_origins=settings.allowed_origins,
    )


async def _migrate(database: Database) -> None:
    try:
        await migrate(database)
    except DatabaseTooNew as error:
        raise CannotStart(str(error)) from error
    except Exception as error:
        # Whatever a driver says of a database that isn't there, is full, or is something else.
        said = str(error).strip().partition("\n")[0]
        raise CannotStart(
            f"{PREFIX}DATABASE_URL: the database can't be used: {type(error).__name__}: {said}"
        ) from error
