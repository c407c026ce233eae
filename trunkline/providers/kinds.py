"""What is true of each kind of provider, and what a base URL may be.

To add a kind: its member in `db/vocabulary.py`, its facts here, its adapter beside this file and in
`ADAPTERS` of `connection.py`, its description in `schema/enums.py`.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from db.provider_rows import KINDS_WITHOUT_KEY
from db.vocabulary import ProviderKind
from trunkline.providers.addresses import literal_address

LONGEST_URL = 2_048
DEFAULT_PORTS = {"http": 80, "https": 443}
_BRACKETED = re.compile(r"\[[^\[\]]*:[^\[\]]*\](?::[0-9]+)?")


class InvalidUrl(ValueError):
    """A base URL that can't be one; the message says what to do."""


@dataclass(frozen=True, slots=True)
class KindFacts:
    """`default_base_url` is None where there is nowhere that it could be by default."""

    default_base_url: str | None
    # Whether it may live on loopback or a private network unless a setting says otherwise.
    may_be_private: bool


KIND_FACTS = {
    ProviderKind.ANTHROPIC: KindFacts("https://api.anthropic.com", may_be_private=False),
    ProviderKind.OPENAI: KindFacts("https://api.openai.com/v1", may_be_private=False),
    ProviderKind.GOOGLE: KindFacts(
        "https://generativelanguage.googleapis.com", may_be_private=False
    ),
    ProviderKind.OLLAMA: KindFacts("http://127.0.0.1:11434", may_be_private=True),
    ProviderKind.OPENAI_COMPATIBLE: KindFacts(None, may_be_private=True),
}


def default_base_url(kind: ProviderKind) -> str | None:
    """Where a provider of this kind is unless it says otherwise."""
    return KIND_FACTS[kind].default_base_url


def needs_key(kind: ProviderKind) -> bool:
    """Whether a provider of this kind answers nobody without an API key."""
    return kind not in KINDS_WITHOUT_KEY


def check_base_url(url: str) -> str:
    """The URL in one spelling, without a slash at its end. Raises `InvalidUrl`."""
    stripped = url.strip()
    if not stripped:
        raise InvalidUrl("baseUrl can't be empty: give a URL such as https://api.example.com/v1")
    if len(stripped) > LONGEST_URL:
        raise InvalidUrl(f"baseUrl may have at most {LONGEST_URL} characters")
    if not stripped.isprintable() or " " in stripped or "\\" in stripped:
        raise InvalidUrl("baseUrl holds a space, a backslash or an unprintable character")
    try:
        parts = urlsplit(stripped)
        port = parts.port
    except ValueError as error:
        raise InvalidUrl("baseUrl is no URL: check its host and port") from error
    if parts.scheme not in DEFAULT_PORTS:
        raise InvalidUrl("baseUrl must begin with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise InvalidUrl("baseUrl can't hold credentials: give the key in apiKey")
    if parts.query or parts.fragment or stripped.endswith(("?", "#")):
        raise InvalidUrl("baseUrl can't have a query or a fragment")
    if port == 0:
        raise InvalidUrl("baseUrl has port 0, where nothing can listen")
    host = _host(parts)
    shown = f"[{host}]" if ":" in host else host
    netloc = shown if port in {None, DEFAULT_PORTS[parts.scheme]} else f"{shown}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))


def origin_of(base_url: str) -> str:
    """Scheme, host and port of a checked URL, as `https://api.openai.com:443`."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{parts.port or DEFAULT_PORTS[parts.scheme]}"


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host or parts.netloc.endswith(":"):
        raise InvalidUrl("baseUrl names no host, or a port without its number")
    if "[" in parts.netloc:
        # urlsplit drops what stands behind the bracket, and takes addresses of the future.
        if _BRACKETED.fullmatch(parts.netloc) is None:
            raise InvalidUrl("baseUrl holds a broken IPv6 address")
        try:
            return str(IPv6Address(host.partition("%")[0]))
        except ValueError as error:
            raise InvalidUrl("baseUrl holds a broken IPv6 address") from error
    try:
        ascii_host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise InvalidUrl("baseUrl holds a host name that can't exist") from error
    labels = ascii_host.rstrip(".").split(".")
    if len(ascii_host) > 253 or any(
        not label or len(label) > 63 or not label.replace("-", "a").replace("_", "a").isalnum()
        for label in labels
    ):
        raise InvalidUrl("baseUrl holds a host name that can't exist")
    if labels[-1].isdecimal() or labels[-1].lower().startswith("0x"):
        # A resolver takes it for a number, so it is one: https://url.spec.whatwg.org/#host-parsing
        address = literal_address(ascii_host)
        if address is None:
            raise InvalidUrl("baseUrl holds a broken IPv4 address")
        return str(address)
    return ascii_host.lower()
