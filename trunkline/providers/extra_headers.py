"""Headers of an operator's own on requests to a provider, such as an organisation's id.

A value may be a secret, so it is kept as a key is: encrypted, bound to the provider and origin that
it was given for, and never shown. Names are shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from db.provider_rows import ProviderRow
from trunkline.changes import Problems
from trunkline.errors import ProblemCode
from trunkline.providers.adapter import SecretHeaders
from trunkline.providers.kinds import origin_of
from trunkline.secrets import Secrets, SecretUnreadable
from trunkline.services import Services

MOST_HEADERS = 20
MOST_BYTES = 8 * 1024
"""Names and values of a provider together."""

# RFC 9110, section 5.6.2.
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_OF_THE_CONNECTION = frozenset({
    "connection", "content-encoding", "content-length", "expect", "host", "http2-settings",
    "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
_OF_THE_PROTOCOL = frozenset({"accept", "accept-encoding", "anthropic-version", "content-type"})
_OF_A_KEY = frozenset({
    "authorization", "cookie", "cookie2", "set-cookie", "x-api-key", "x-goog-api-key",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExtraHeader:
    """A header as it is given. Without a value the stored one of this name stays."""

    name: str
    value: str | None = field(default=None, repr=False)


def checked_extra_headers(
    problems: Problems, given: Sequence[ExtraHeader], stored: Mapping[str, str]
) -> SecretHeaders:
    """The headers to store, by name, in the order given. Notes every problem with its path."""
    path = ("extraHeaders",)
    found = SecretHeaders()
    if len(given) > MOST_HEADERS:
        problems.add(ProblemCode.TOO_MANY, path, f"at most {MOST_HEADERS} headers are taken")
        return found
    standing = {name.lower(): value for name, value in stored.items()}
    seen: set[str] = set()
    for place, one in enumerate(given):
        at = (*path, str(place))
        _check_name(problems, one.name, (*at, "name"))
        if one.name.lower() in seen:
            problems.add(ProblemCode.DUPLICATE, (*at, "name"), "this header is named twice")
        seen.add(one.name.lower())
        value = standing.get(one.name.lower()) if one.value is None else one.value.strip(" \t")
        if value is None:
            problems.invalid((*at, "value"), "no value is stored under this name: give one")
            continue
        if not value or not (value.isascii() and value.isprintable()):
            problems.invalid(
                (*at, "value"), "a header's value takes printable ASCII characters, at least one"
            )
        found[one.name] = value
    if sum(len(name) + len(value) for name, value in found.items()) > MOST_BYTES:
        problems.invalid(path, f"names and values may have {MOST_BYTES:,} bytes together")
    return found


def extra_headers_of(services: Services, provider: ProviderRow) -> Mapping[str, str]:
    """The provider's extra headers in the clear, for a request to its own origin.

    Empty where it has none. Raises `SecretUnreadable` where they can't be opened.
    """
    return opened_extra_headers(services.secrets, provider)


def opened_extra_headers(secrets: Secrets, provider: ProviderRow) -> Mapping[str, str]:
    """The same, with these secrets."""
    if provider.extra_headers_encrypted is None:
        return SecretHeaders()
    opened = secrets.open(
        provider.extra_headers_encrypted,
        provider_id=provider.id,
        origin=origin_of(provider.base_url),
        what="the stored extra headers",
    )
    try:
        return SecretHeaders(orjson.loads(opened))
    except (ValueError, TypeError):
        # What is sealed there is something else, such as a key: not quoted, nor kept as a cause.
        raise SecretUnreadable("the stored extra headers can't be read: set them anew") from None


def sealed_extra_headers(
    services: Services, headers: Mapping[str, str], *, provider_id: int, base_url: str
) -> bytes | None:
    """What to store of them: None where there are none."""
    if not headers:
        return None
    text = orjson.dumps(dict(headers)).decode()
    return services.secrets.seal(text, provider_id=provider_id, origin=origin_of(base_url))


def _check_name(problems: Problems, name: str, path: tuple[str, ...]) -> None:
    lower = name.lower()
    if not name or not _TOKEN.issuperset(name):
        problems.invalid(
            path, "a header's name takes letters, digits and !#$%&'*+-.^_`|~, without spaces"
        )
    elif lower in _OF_A_KEY:
        problems.invalid(path, f"{name} may hold who asks: give the key in apiKey")
    elif lower in _OF_THE_CONNECTION or lower.startswith("proxy-"):
        problems.invalid(path, f"{name} is about the connection, and set for each")
    elif lower in _OF_THE_PROTOCOL:
        problems.invalid(path, f"{name} is set by the provider's protocol")
