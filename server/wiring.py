"""The one place where the parts are made and joined."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from db.engine import Database
from db.migrate import DatabaseTooNew, migrate
from server.settings import BadSettings, Settings, admin_token, open_secrets, prepare_data_dir
from trunkline.catalog.known import KnownCatalog
from trunkline.catalog.seeding import refresh_catalog
from trunkline.clock import system_clock
from trunkline.events import EventBus
from trunkline.providers.outgoing import Outgoing
from trunkline.providers.seeding import seed_providers
from trunkline.services import Services
from trunkline.signin import SignIn
from trunkline.usage.hub import UsageHub
from trunkline.usage.pricing import PriceBook

log = structlog.get_logger(__name__)

_OFFERED_KEYS = {
    "ANTHROPIC_API_KEY": "anthropic",
    "OPENAI_API_KEY": "openai",
    "GEMINI_API_KEY": "google",
}


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database of these settings, migrated. Raises `BadSettings` where it can't be used."""
    prepare_data_dir(settings)
    database = Database.open(settings.database)
    try:
        try:
            await migrate(database)
        except DatabaseTooNew as error:
            raise BadSettings(f"TRUNKLINE_DATABASE_URL: {error}") from error
        except Exception as error:
            # Whatever the driver raises: no such host, no such file, no permission, no database.
            raise BadSettings(
                f"TRUNKLINE_DATABASE_URL: the database can't be opened: {_reason(error)}"
            ) from error
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def running_services(settings: Settings) -> AsyncIterator[tuple[Services, SignIn]]:
    """Every part, open and joined; closed in reverse when the block ends."""
    secrets = open_secrets(settings)
    async with (
        open_database(settings) as database,
        Outgoing(settings.private_networks) as outgoing,
    ):
        events = EventBus()
        catalog = KnownCatalog()
        services = Services(
            database=database,
            events=events,
            secrets=secrets,
            clock=system_clock,
            outgoing=outgoing,
            catalog=catalog,
            prices=PriceBook(catalog),
            hub=UsageHub(database, events, system_clock),
            started_at=system_clock(),
        )
        if await seed_providers(database, catalog, system_clock):
            log.info("seeded four providers with their catalogs, without keys")
        _offer_keys()
        refreshing = asyncio.create_task(_refresh(services))
        try:
            yield services, SignIn(database, system_clock, admin_token(settings))
        finally:
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing


@asynccontextmanager
async def sole_server(settings: Settings) -> AsyncIterator[None]:
    """Keep a second server off one SQLite file: each would miss what the other changes.

    Raises `BadSettings` where another has it. The lock ends with the process, however it ends.
    """
    prepare_data_dir(settings)
    path = _sqlite_path(settings.database)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadSettings(
                f"TRUNKLINE_DATABASE_URL: another server is running on {path}: stop it first, or "
                "use PostgreSQL for several servers"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _sqlite_path(url: str) -> Path | None:
    scheme, _, rest = url.partition(":///")
    return Path(rest.partition("?")[0]) if scheme.startswith("sqlite") else None


async def _refresh(services: Services) -> None:
    """After the start, what a start need not wait for: the price data, and the day's prices."""
    await asyncio.to_thread(services.catalog.warm)
    try:
        await refresh_catalog(services.database, services.catalog, services.clock)
    except Exception:  # The catalog of the last start still stands.
        log.exception("the catalog could not be refreshed")


def _offer_keys() -> None:
    for name, slug in _OFFERED_KEYS.items():
        if os.environ.get(name):
            log.info(
                "an API key is in the environment; it is not taken by itself: "
                "set it with updateProvider to use it",
                variable=name,
                provider=slug,
            )


def _reason(error: BaseException) -> str:
    """The driver's own words, one line, without the statement or the URL."""
    cause = getattr(error, "orig", None) or error
    return str(cause).splitlines()[0][:300] if str(cause) else type(cause).__name__
