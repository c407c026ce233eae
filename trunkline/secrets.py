"""Provider keys at rest: encrypted, and bound to the provider and origin that they were given for.

A key that was sealed for one provider and origin opens for no other, so neither a bug nor a change
of the database's rows can send it to another host. The plain key is never logged, shown or put
into an error; what people see is its mask.
"""

import hashlib
from collections.abc import Sequence

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from trunkline.errors import TrunklineError

# Prefixes that providers publish; they tell what a key is for and say nothing about it.
_PUBLIC_PREFIXES = (
    "sk-ant-", "sk-proj-", "sk-or-v1-", "sk-or-", "sk-svcacct-", "sk-admin-", "sk-",
    "gsk_", "xai-", "AIza", "pplx-", "r8_", "hf_", "nvapi-", "csk-", "fw_", "tgp_v1_", "key-",
)  # fmt: skip


class BadSecretKey(ValueError):
    """A secret key is not 32 bytes in URL-safe base64. The message doesn't hold it."""


class SecretUnreadable(TrunklineError):
    """A stored key can't be opened with the secret keys that were given, or belongs elsewhere."""


class Secrets:
    """Seals and opens provider keys. `keys` are Fernet keys, newest first; the first one seals."""

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except (ValueError, TypeError) as error:
            raise BadSecretKey(
                "each key is 32 random bytes in URL-safe base64, as `openssl rand -base64 32 | "
                "tr +/ -_` prints; separate several by commas, newest first"
            ) from error

    def seal(self, api_key: str, *, provider_id: int, origin: str) -> bytes:
        """Encrypt `api_key` for use by this provider at this origin (`https://host:port`) only."""
        return self._fernet.encrypt(orjson.dumps([provider_id, origin, api_key]))

    def open(
        self, sealed: bytes, *, provider_id: int, origin: str, what: str = "the stored API key"
    ) -> str:
        """The key in `sealed`. Raises `SecretUnreadable` where it is not for this use.

        `what` names it in the message.
        """
        try:
            sealed_for, sealed_origin, api_key = orjson.loads(self._fernet.decrypt(sealed))
        except (InvalidToken, ValueError) as error:
            raise SecretUnreadable(
                f"{what} can't be read with the secret keys given: "
                "restore TRUNKLINE_SECRET_KEYS, or set it anew"
            ) from error
        if (sealed_for, sealed_origin) != (provider_id, origin):
            raise SecretUnreadable(f"{what} was given for another provider or host: set it anew")
        return str(api_key)


def generate_secret_key() -> str:
    """A new random key for `Secrets`."""
    return Fernet.generate_key().decode()


def masked(api_key: str) -> str:
    """What people may see: a known public prefix and the last four characters, `sk-ant-…4f2A`.

    A key too short to lose four characters shows none of itself.
    """
    prefix = next((known for known in _PUBLIC_PREFIXES if api_key.startswith(known)), "")
    hidden = len(api_key) - len(prefix) - 4
    return f"{prefix}…{api_key[-4:]}" if hidden >= 8 else "…"


def fingerprint(token: str) -> bytes:
    """The SHA-256 of a token of 128 random bits or more: what is stored in its place."""
    return hashlib.sha256(token.encode()).digest()
