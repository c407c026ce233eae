"""Checks of what is reached over the network: the bus, the ways out, providers; and of prices."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from db.provider_rows import KINDS_WITHOUT_KEY, ProviderRow
from db.vocabulary import ConnectionTestStatus
from server.failures import CannotStart
from server.findings import Finding, bad, doubtful, good
from server.settings import PREFIX, Settings
from server.store_commands import first_line_of
from server.wiring import private_networks, ways_out
from trunkline.catalog.known import KnownCatalog
from trunkline.providers.changes import opened_api_key
from trunkline.providers.connection import ask_for_models
from trunkline.providers.extra_headers import opened_extra_headers
from trunkline.providers.outgoing import Outgoing
from trunkline.secrets import Secrets, SecretUnreadable

PROVIDER_SECONDS = 5.0
_OLD_DAYS = 270


async def bus_finding(settings: Settings) -> Finding:
    """Whether Redis answers."""
    if settings.bus_url is None:
        return good("bus", "none is set: servers find each other's changes in the database")
    from trunkline.processes.redis_bus import BadBusUrl, RedisBus

    try:
        bus = RedisBus(settings.bus_url.reveal(), "")
        try:
            await bus.ping()
        finally:
            await bus.close()
    except BadBusUrl as error:
        return bad("bus", f"{PREFIX}BUS_URL: {error}", "correct it")
    except Exception as error:  # noqa: BLE001  # a driver's, of any kind: it is a finding
        said = f"Redis does not answer: {type(error).__name__}"
        advice = f"see whether it runs, and {PREFIX}BUS_URL names it: changes take a second now"
        return doubtful("bus", said, advice)
    return good("bus", "Redis answers")


def price_finding(catalog: KnownCatalog, now: datetime) -> Finding:
    """How old the price data is, by the newest price with a date: it has no date of its own."""
    newest = catalog.newest_price(now)
    day = "unknown age" if newest is None else f"the newest price with a date is of {newest:%F}"
    said = f"{catalog.edition}, {day}"
    if newest is None or (now - newest).days > _OLD_DAYS:
        return doubtful("prices", said, "see for a newer Trunkline: new models may have no price")
    return good("prices", said)


async def provider_findings(
    settings: Settings, providers: Sequence[ProviderRow], secrets: Secrets | None, *, ask: bool
) -> AsyncIterator[Finding]:
    """The ways out, and by them each enabled provider's connection test, which isn't stored."""
    try:
        proxies, trust = ways_out()
    except CannotStart as error:
        yield bad("proxies", str(error), "correct the variable")
        return
    named = [name for name in os.environ if name.lower() in {"http_proxy", "https_proxy"}]
    own = "certificates of your own" if trust is not None else "the system's certificates"
    yield good("proxies", f"{', '.join(named) or 'no proxy'}; {own}")
    if not ask or secrets is None:
        return
    asked = [one for one in providers if one.enabled]
    async with Outgoing(private_networks(settings), proxies=proxies, trust=trust) as outgoing:
        findings = await asyncio.gather(*(_ask(outgoing, secrets, one) for one in asked))
    for finding in findings:
        yield finding


async def _ask(outgoing: Outgoing, secrets: Secrets, provider: ProviderRow) -> Finding:
    check = f"provider {provider.slug}"
    if provider.api_key is None and provider.kind not in KINDS_WITHOUT_KEY:
        return good(check, "has no API key yet: not asked")
    try:
        outcome = await ask_for_models(
            outgoing,
            provider.kind,
            provider.base_url,
            opened_api_key(secrets, provider),
            extra_headers=opened_extra_headers(secrets, provider),
            timeout_seconds=PROVIDER_SECONDS,
        )
    except SecretUnreadable as error:
        return bad(check, str(error), "see `secrets` above")
    except Exception as error:  # noqa: BLE001  # it must not end the other checks
        return bad(check, f"could not be asked: {first_line_of(error)}", "report this")
    if outcome.ok:
        return good(check, outcome.message)
    said = f"{outcome.status}: {outcome.message}"
    advice = "test it again in GraphiQL with testConnection, or disable it"
    if outcome.status in {ConnectionTestStatus.INVALID_KEY, ConnectionTestStatus.FORBIDDEN}:
        return bad(check, said, "give it a valid key by updateProvider")
    return doubtful(check, said, advice)
