"""What the commands under `trunkline session` do, beside a server or without one.

Raises `CannotStart` for whatever an operator can put right.
"""

import sys
from collections.abc import Mapping

from db.access_tokens import AccessTokenRow, load_tokens_by_hash
from db.paging import PageRequest
from db.sessions import BrowserSessionRow, page_sessions
from db.vocabulary import SignInMethod
from server.failures import CannotStart
from server.settings import Settings
from server.store_commands import minute, run_on_services, write_table
from trunkline.access.sessions import revoke_session, revoke_sessions
from trunkline.services import Services

_MOST_LISTED = 1_000
_LARGEST_NUMBER = 2**63 - 1  # What databases hold.
_WORDS = {SignInMethod.SIGN_IN_LINK: "link", SignInMethod.ADMIN_TOKEN: "admin token"}


def run_list(settings: Settings) -> None:
    """Print a line for each session."""

    async def show(services: Services) -> None:
        async with services.database.read() as connection:
            page = PageRequest(_MOST_LISTED)
            found = await page_sessions(connection, page, of=None, now=services.clock())
            hashes = {one.access_token_hash for one in found.nodes}
            tokens = await load_tokens_by_hash(connection, [one for one in hashes if one])
        heading = ("NO", "SIGNED IN WITH", "BROWSER", "ADDRESS", "SINCE", "LAST USED", "EXPIRES")
        write_table([heading, *(_line(one, tokens) for one in found.nodes)])
        if found.has_next_page:
            sys.stderr.write(f"these are the newest {_MOST_LISTED}; there are more\n")

    run_on_services(settings, show)


def run_revoke(settings: Settings, number: int | None, *, every: bool) -> None:
    """End one session, or every one."""
    if (number is None) is not every:
        raise CannotStart(
            "give the number of a session, as `trunkline session list` has it, or --all"
        )
    if number is not None and not 0 < number <= _LARGEST_NUMBER:
        raise CannotStart(f"there is no session {number}: `trunkline session list` numbers them")

    async def revoke(services: Services) -> None:
        if number is None:
            ended = await revoke_sessions(services, of=None)
            sys.stderr.write(f"{ended} sessions are ended\n")
            return
        await revoke_session(services, number, of=None)
        sys.stderr.write(f"session {number} is ended\n")

    run_on_services(settings, revoke)


def _line(session: BrowserSessionRow, tokens: Mapping[bytes, AccessTokenRow]) -> tuple[str, ...]:
    token = tokens.get(session.access_token_hash) if session.access_token_hash else None
    with_what = _WORDS.get(session.signed_in_with, "token")
    return (
        str(session.id),
        with_what if token is None else f"token {token.name}",
        session.browser or "-",
        session.address or "-",
        minute(session.created_at),
        minute(session.last_used_at),
        minute(session.expires_at),
    )
