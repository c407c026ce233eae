"""Provider keys at rest: encrypted, and bound to the provider and origin that they were given for.

A key that was sealed for one provider and origin opens for no other, so neither a bug nor a change
of the database's rows can send it to another host. The plain key is never logged, shown or put
into an error; what people see is its mask.
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import orjson

from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

_KEY_BYTES = 32

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
        if not keys or not all(_is_key(key) for key in keys):
            raise BadSecretKey(
                "each key is 32 random bytes in URL-safe base64, as `openssl rand -base64 32 | "
                "tr +/ -_` prints; separate several by commas, newest first"
            )
        self._keys = keys

    @cached_property
    def _fernet(self) -> "MultiFernet":
        # At first use: it holds 9 MB, and a server may have no provider's key.
        from cryptography.fernet import Fernet, MultiFernet

        return MultiFernet([Fernet(key) for key in self._keys])

    def seal(self, api_key: str, *, provider_id: int, origin: str) -> bytes:
        """Encrypt `api_key` for use by this provider at this origin (`https://host:port`) only."""
        return self._fernet.encrypt(orjson.dumps([provider_id, origin, api_key]))

    def open(
        self, sealed: bytes, *, provider_id: int, origin: str, what: str = "the stored API key"
    ) -> str:
        """The key in `sealed`. Raises `SecretUnreadable` where it is not for this use.

        `what` names it in the message.
        """
        from cryptography.fernet import InvalidToken

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
    return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()


def masked(api_key: str) -> str:
    """What people may see: a known public prefix and the last four characters, `sk-ant-…4f2A`.

    A key too short to lose four characters shows none of itself.
    """
    prefix = next((known for known in _PUBLIC_PREFIXES if api_key.startswith(known)), "")
    hidden = len(api_key) - len(prefix) - 4
    return f"{prefix}…{api_key[-4:]}" if hidden >= 8 else "…"


def _is_key(key: str) -> bool:
    # The specification of Fernet: https://github.com/fernet/spec/blob/master/Spec.md#key-format
    try:
        return len(base64.urlsafe_b64decode(key.encode())) == _KEY_BYTES
    except ValueError:
        return False


def fingerprint(token: str) -> bytes:
    """The SHA-256 of a token of 128 random bits or more: what is stored in its place."""
    return hashlib.sha256(token.encode()).digest()
