"""Provider keys at rest: encrypted, and bound to the provider and origin that they were given for.

A key that was sealed for one provider and origin opens for no other, so neither a bug nor a change
of the database's rows can send it to another host. The plain key is never logged, shown or put
into an error; what people see is its mask.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import orjson

from trunkline.errors import Problem, ProblemCode, Refused, TrunklineError

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

_KEY_BYTES = 32
_SIGNATURE_BYTES = 32

# Prefixes that providers publish; they tell what a key is for and say nothing about it.
_PUBLIC_PREFIXES = (
    "sk-ant-", "sk-proj-", "sk-or-v1-", "sk-or-", "sk-svcacct-", "sk-admin-", "sk-",
    "gsk_", "xai-", "AIza", "pplx-", "r8_", "hf_", "nvapi-", "csk-", "fw_", "tgp_v1_", "key-",
)  # fmt: skip


class BadSecretKey(ValueError):
    """A secret key is not 32 bytes in URL-safe base64. The message doesn't hold it."""


class SecretUnreadable(TrunklineError):
    """A stored key can't be opened with the secret keys that were given, or belongs elsewhere."""


class SecretKeyGone(Refused):
    """Nothing may be sealed: the file of the secret keys is missing, or holds none.

    What is sealed under a key that is kept in memory alone could not be read after a restart.
    """

    def __init__(self) -> None:
        message = (
            "nothing secret can be stored: the secret-key file of the server's data directory is "
            "missing or broken: restore it, `trunkline doctor` says more"
        )
        super().__init__([Problem(ProblemCode.INVALID, None, message)])


class KeySource(Protocol):
    """Where keys come from that may be replaced while servers run."""

    def changed(self) -> Sequence[str] | None:
        """The keys where they are others than were read last, newest first.

        Called before each sealing, so it must be quick. Raises `SecretKeyGone`.
        """


class Secrets:
    """Seals and opens provider keys. `keys` are Fernet keys, newest first; the first one seals.

    With a `source` they follow it: it is asked before something is sealed, and when something
    can't be opened. Keys that are there no more open for as long as the next ones stand, since
    something that was read before may be opened after.
    """

    def __init__(self, keys: Sequence[str], source: KeySource | None = None) -> None:
        if not all(is_secret_key(key) for key in keys) or not (keys or source):
            raise BadSecretKey(
                "each key is 32 random bytes in URL-safe base64, as `openssl rand -base64 32 | "
                "tr +/ -_` prints; separate several by commas, newest first"
            )
        self._keys = tuple(keys)
        self._former: tuple[str, ...] = ()
        self._source = source
        self._made: MultiFernet | None = None

    @property
    def key_ids(self) -> tuple[str, ...]:
        """What tells its keys apart, newest first; it may be shown."""
        return tuple(key_id(key) for key in self._keys)

    def refresh(self) -> bool:
        """Take the source's keys where they are new ones. Raises `SecretKeyGone`."""
        found = None if self._source is None else self._source.changed()
        if found is None:
            return False
        self._former = tuple(key for key in self._keys if key not in found)
        self._keys = tuple(found)
        self._made = None
        return True

    def seal(self, api_key: str, *, provider_id: int, origin: str) -> bytes:
        """Encrypt `api_key` for use by this provider at this origin (`https://host:port`) only.

        Call it in the transaction that stores it: the last key is dropped in one that finds
        nothing sealed by it. Raises `SecretKeyGone`.
        """
        self.refresh()
        return self._fernet().encrypt(orjson.dumps([provider_id, origin, api_key]))

    def open(
        self, sealed: bytes, *, provider_id: int, origin: str, what: str = "the stored API key"
    ) -> str:
        """The key in `sealed`. Raises `SecretUnreadable` where it is not for this use.

        `what` names it in the message.
        """
        try:
            sealed_for, sealed_origin, api_key = orjson.loads(self._opened(sealed))
        except (_NoKeyOpens, ValueError) as error:
            raise SecretUnreadable(
                f"{what} can't be read with the secret keys given: "
                "restore TRUNKLINE_SECRET_KEYS, or set it anew"
            ) from error
        if (sealed_for, sealed_origin) != (provider_id, origin):
            raise SecretUnreadable(f"{what} was given for another provider or host: set it anew")
        return str(api_key)

    def key_of(self, sealed: bytes) -> int | None:
        """Which of the keys sealed this, 0 for the newest; None where none of them did.

        It compares the signature only, without what encrypts: that takes 9 MB to load.
        """
        # https://github.com/fernet/spec/blob/master/Spec.md: the signature is over all before it.
        try:
            token = base64.urlsafe_b64decode(sealed)
        except ValueError:
            return None
        signed, signature = token[:-_SIGNATURE_BYTES], token[-_SIGNATURE_BYTES:]
        for place, key in enumerate(self._keys):
            signing = base64.urlsafe_b64decode(key)[: _KEY_BYTES // 2]
            if hmac.compare_digest(hmac.digest(signing, signed, "sha256"), signature):
                return place
        return None

    def opens(self, sealed: bytes) -> bool:
        """Whether one of the keys sealed this, or of those that there are by now."""
        if self.key_of(sealed) is not None:
            return True
        try:
            return self.refresh() and self.key_of(sealed) is not None
        except SecretKeyGone:
            return False

    def resealed(self, sealed: bytes) -> bytes:
        """The same, for the same use, sealed by the newest key. Raises `SecretUnreadable`."""
        if self.key_of(sealed) is None:
            raise SecretUnreadable("it can't be read with the secret keys given")
        return self._fernet().rotate(sealed)

    def _opened(self, sealed: bytes) -> bytes:
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet().decrypt(sealed)
        except (InvalidToken, SecretKeyGone):
            try:
                if self.refresh():
                    return self._fernet().decrypt(sealed)
            except (InvalidToken, SecretKeyGone):
                pass
        raise _NoKeyOpens

    def _fernet(self) -> "MultiFernet":
        if not self._keys:
            raise SecretKeyGone
        if self._made is None:
            # At first use: it holds 9 MB, and a server may have no provider's key.
            from cryptography.fernet import Fernet, MultiFernet

            self._made = MultiFernet([Fernet(key) for key in (*self._keys, *self._former)])
        return self._made


class _NoKeyOpens(Exception):
    """None of the keys, also after looking for newer ones."""


def generate_secret_key() -> str:
    """A new random key for `Secrets`."""
    return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()


def key_id(key: str) -> str:
    """What tells a secret key from others: eight hexadecimal digits that say nothing about it."""
    return hashlib.sha256(base64.urlsafe_b64decode(key)).hexdigest()[:8]


def masked(api_key: str) -> str:
    """What people may see: a known public prefix and the last four characters, `sk-ant-…4f2A`.

    A key too short to lose four characters shows none of itself.
    """
    prefix = next((known for known in _PUBLIC_PREFIXES if api_key.startswith(known)), "")
    hidden = len(api_key) - len(prefix) - 4
    return f"{prefix}…{api_key[-4:]}" if hidden >= 8 else "…"


def is_secret_key(key: str) -> bool:
    """Whether it is a key for `Secrets`."""
    # The specification of Fernet: https://github.com/fernet/spec/blob/master/Spec.md#key-format
    try:
        return len(base64.urlsafe_b64decode(key)) == _KEY_BYTES
    except ValueError:
        return False


def fingerprint(token: str) -> bytes:
    """The SHA-256 of a token of 128 random bits or more: what is stored in its place."""
    return hashlib.sha256(token.encode()).digest()
