"""Whether the secret keys at hand open what is stored: looked at before anything is served."""

from collections.abc import Sequence

from db.engine import Database
from db.sealed import SealedValue, sealed_values
from server.credentials import Credentials
from server.failures import CannotStart
from server.settings import PREFIX
from trunkline.secrets import Secrets

MOST_NAMED = 10


class SecretsUnreadable(CannotStart):
    """The keys at hand don't open what is stored; the message names it and says what to do."""


async def require_readable(database: Database, held: Credentials) -> None:
    """Let a server start only where everything sealed can be opened. Raises `CannotStart`.

    A missing key file is made where nothing is sealed yet, and never otherwise: a new key would
    open nothing.
    """
    async with database.read() as connection:
        values = await sealed_values(connection)
    unreadable = unreadable_among(values, held.secrets)
    if unreadable:
        raise SecretsUnreadable(_said(unreadable, held))
    if held.key_file is not None and not held.secrets.key_ids:
        held.key_file.create()
        held.secrets.refresh()


def unreadable_among(values: Sequence[SealedValue], secrets: Secrets) -> list[SealedValue]:
    """Those that none of the keys sealed, also where there are newer ones by now."""
    return [value for value in values if not secrets.opens(value.sealed)]


def named(values: Sequence[SealedValue]) -> str:
    """What they are, in a sentence's middle; the first of many."""
    labels = [value.label for value in values[:MOST_NAMED]]
    more = len(values) - len(labels)
    return ", ".join(labels) + (f" and {more} more" if more else "")


def _said(unreadable: Sequence[SealedValue], held: Credentials) -> str:
    if held.key_file is None:
        wrong = f"{PREFIX}SECRET_KEYS does not open {named(unreadable)}: add the key that sealed it"
    elif held.secrets.key_ids:
        wrong = f"{held.key_file.path} does not open {named(unreadable)}: restore that file"
    else:
        wrong = (
            f"{held.key_file.path} is missing, and without it {named(unreadable)} can't be read: "
            "restore that file"
        )
    return (
        f"{wrong}; if the key is lost for good, `trunkline rotate-secrets --forget-unreadable` "
        "removes what can't be read, and you set it anew"
    )
