"""What the commands under `trunkline token` do, beside a server or without one.

A token is all that is printed to stdout, so that a script can take it; what is said of it goes to
stderr. Raises `CannotStart` for whatever an operator can put right.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from db.access_tokens import AccessTokenRow, find_token_by_name, page_tokens
from db.chains import load_chains, load_chains_by_slug
from db.paging import PageRequest
from db.vocabulary import AccessScope
from server.failures import CannotStart
from server.settings import Settings
from server.store_commands import minute, run_on_services, write_table
from trunkline.access.changes import create_token, revoke_token, rotate_token
from trunkline.access.inputs import MOST_TOKENS, NewAccessToken
from trunkline.services import Services

_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A token to create, as it was typed."""

    name: str
    scopes: Sequence[str]
    expires: str | None
    chains: Sequence[str] | None
    agents: Sequence[str] | None


def run_create(settings: Settings, asked: Asked) -> None:
    """Create a token and print it."""
    scopes = [_scope(scope) for scope in asked.scopes]

    async def create(services: Services) -> None:
        new = NewAccessToken(
            name=asked.name,
            scopes=scopes,
            expires_at=_expiry(asked.expires, services.clock()),
            chain_ids=await _chain_ids(services, asked.chains),
            agents=asked.agents or None,
        )
        made = await create_token(services, new)
        _show(made.text, f"{made.token.name!r} may {_may(made.token)}; it is shown this once")

    run_on_services(settings, create)


def run_list(settings: Settings) -> None:
    """Print a line for each token."""

    async def show(services: Services) -> None:
        async with services.database.read() as connection:
            tokens = (await page_tokens(connection, PageRequest(MOST_TOKENS))).nodes
            ids = sorted({one for token in tokens for one in token.chain_ids or ()})
            chains = await load_chains(connection, ids)
        slugs = {one: chains[one].slug if one in chains else "(deleted)" for one in ids}
        now = services.clock()
        rows: list[tuple[str, ...]] = [
            ("NAME", "TOKEN", "SCOPES", "LIMITED TO", "EXPIRES", "LAST USED")
        ]
        rows += [_line(token, slugs, now) for token in tokens]
        write_table(rows)

    run_on_services(settings, show)


def run_rotate(settings: Settings, name: str, grace: str) -> None:
    """Replace a token and print the new one."""
    seconds = int(_duration(grace, "--grace").total_seconds())

    async def rotate(services: Services) -> None:
        made = await rotate_token(services, await _id_of(services, name), seconds)
        until = "no longer" if seconds == 0 else f"until {minute(made.token.previous_until)} too"
        _show(made.text, f"the token before it is let in {until}; this one is shown this once")

    run_on_services(settings, rotate)


def run_revoke(settings: Settings, name: str) -> None:
    """End a token."""

    async def revoke(services: Services) -> None:
        await revoke_token(services, await _id_of(services, name))
        sys.stderr.write(f"{name!r} is revoked\n")

    run_on_services(settings, revoke)


async def _id_of(services: Services, name: str) -> int:
    async with services.database.read() as connection:
        found = await find_token_by_name(connection, name)
    if found is None:
        raise CannotStart(f"there is no token called {name!r}: `trunkline token list` names them")
    return found.id


async def _chain_ids(services: Services, slugs: Sequence[str] | None) -> list[int] | None:
    if not slugs:
        return None
    async with services.database.read() as connection:
        found = await load_chains_by_slug(connection, slugs)
    for slug in slugs:
        if slug not in found:
            raise CannotStart(f"--chain: there is no failover chain with the slug {slug!r}")
    return [found[slug].id for slug in slugs]


def _scope(text: str) -> AccessScope:
    try:
        return AccessScope(text.upper())
    except ValueError:
        known = ", ".join(scope.value for scope in AccessScope)
        raise CannotStart(f"--scope takes {known}, not {text!r}") from None


def _expiry(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        if _DURATION.fullmatch(text):
            return now + _duration(text, "--expires")
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        found = None
    if found is None or found.tzinfo is None:
        raise CannotStart(
            f"--expires takes a time ahead such as 90d or 12h, or an instant with its offset such "
            f"as 2027-01-31T00:00:00Z, not {text!r}"
        )
    return found


def _duration(text: str, option: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    try:
        if match is not None:
            return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        pass
    raise CannotStart(f"{option} takes a number of s, m, h or d, such as 24h, not {text!r}")


def _show(text: str, said: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stderr.write(f"{said}\n")


def _may(token: AccessTokenRow) -> str:
    return ", ".join(scope.value for scope in token.scopes)


def _line(token: AccessTokenRow, slugs: dict[int, str], now: datetime) -> tuple[str, ...]:
    limits = [f"chain/{slugs[one]}" for one in token.chain_ids or ()]
    limits += [f"agent {one}" for one in token.agents or ()]
    expired = token.expires_at is not None and token.expires_at <= now
    return (
        token.name,
        token.masked,
        _may(token),
        ", ".join(limits) or "-",
        "expired" if expired else minute(token.expires_at),
        minute(token.last_used_at),
    )
