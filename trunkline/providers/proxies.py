"""Proxies of an operator's own, by the environment's usual variables, read once at start.

HTTPS_PROXY and HTTP_PROXY by the scheme of what is asked for, ALL_PROXY for either that is missing,
NO_PROXY for hosts that are asked directly. Names in lower case go first, as curl and Python have
it. Loopback never goes by a proxy: it would be the proxy's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_network
from typing import Self
from urllib.parse import urlsplit

from trunkline.providers.addresses import Reach, literal_address, reach_of
from trunkline.providers.kinds import DEFAULT_PORTS

# Names that clouds give their metadata services: a proxy would resolve them.
_METADATA_NAMES = frozenset({
    "instance-data", "instance-data.ec2.internal", "metadata", "metadata.goog",
    "metadata.google.internal", "metadata.azure.internal", "metadata.tencentyun.com",
})  # fmt: skip


class BadProxySetting(ValueError):
    """A variable names no proxy that can be used. The message names it and holds no password."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which requests go by which proxy; none do where nothing is set."""

    by_scheme: Mapping[str, str] = field(default_factory=dict, repr=False)
    """A proxy's URL, with its credentials, by `http` and `https`."""
    exceptions: tuple[str, ...] = ()
    """Entries of NO_PROXY."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Those that the variables name. Raises `BadProxySetting`."""
        found = {}
        for scheme in DEFAULT_PORTS:
            for name in (f"{scheme}_proxy", "all_proxy"):
                variable = next((one for one in (name, name.upper()) if environment.get(one)), None)
                if variable is not None:
                    found[scheme] = _checked(variable, environment[variable].strip())
                    break
        listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        entries = (one.strip().lower() for one in listed.replace(" ", ",").split(","))
        return cls(found, tuple(one for one in entries if one))

    def proxy_for(self, url: str) -> str | None:
        """The URL of the proxy that this request goes by, or None where it goes directly."""
        if not self.by_scheme:
            return None
        parts = urlsplit(url)
        proxy = self.by_scheme.get(parts.scheme)
        if proxy is None:
            return None
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
        if _is_loopback(host) or any(_excepts(one, host, port) for one in self.exceptions):
            return None
        return proxy


def reach_of_host(host: str) -> Reach:
    """How far a host lies by its name alone, as it is the proxy that resolves it.

    A literal address tells, in any spelling that a resolver takes, such as `0xa9fea9fe`; and so do
    the names of the clouds' metadata services. Other names count as public.
    """
    name = host.rstrip(".").lower()
    literal = literal_address(name)
    if literal is not None:
        return reach_of(str(literal))
    return Reach.FORBIDDEN if name in _METADATA_NAMES else Reach.PUBLIC


def _checked(variable: str, value: str) -> str:
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadProxySetting(f"{variable} is no URL: check its host and port") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise BadProxySetting(
            f"{variable} names a proxy of the scheme {parts.scheme[:20]!r}: "
            "give one that begins with http:// or https://"
        )
    if not parts.hostname or port == 0:
        raise BadProxySetting(f"{variable} names no host: give http://proxy.example.com:3128")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    literal = literal_address(host)
    if isinstance(literal, IPv6Address) and literal.ipv4_mapped is not None:
        literal = literal.ipv4_mapped
    return literal is not None and literal.is_loopback


def _excepts(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY covers a host: `*`, a name with all below it, an address or a
    network, each perhaps with a port.
    """
    if entry == "*":
        return True
    literal = literal_address(host)
    if "/" in entry:
        try:
            return literal is not None and literal in ip_network(entry, strict=False)
        except ValueError:
            return False
    name, separator, digits = entry.rpartition(":")
    if separator and digits.isdecimal() and (":" not in name or name.startswith("[")):
        if int(digits) != port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").removeprefix(".")
    if literal is not None:
        return literal_address(entry) == literal
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))
