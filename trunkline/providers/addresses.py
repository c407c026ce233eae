"""Which addresses a request may connect to.

Checked on the address itself, after DNS and for literals alike: names that resolve to a private
address, and DNS answers that change, end here.
"""

import re
import socket
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address


class Reach(Enum):
    """How far an address lies."""

    PUBLIC = "public"
    # Loopback, private ranges, unique local addresses: by setting.
    PRIVATE = "private"
    # Link-local, cloud metadata, multicast, unspecified, reserved: never.
    FORBIDDEN = "forbidden"


_STRICTER = (Reach.PUBLIC, Reach.PRIVATE, Reach.FORBIDDEN)

# Metadata services of clouds, beside 169.254.169.254 and fe80::/10, which are link-local.
_METADATA = tuple(
    ip_network(one)
    for one in (
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
        "fd00:c1::a9fe:a9fe",  # Oracle
        "fd00:ec2::/32",  # Amazon, with its containers' credentials
        "fd20:ce::254",  # Google
        "fd00:42::42",  # Scaleway
    )
)
_PRIVATE = tuple(
    ip_network(one)
    for one in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # shared by a carrier's customers; tailnets live there
        "fc00::/7",
    )
)
# Python before 3.13 takes the last three, or parts of them, for global ones.
_NOWHERE = tuple(
    ip_network(one)
    for one in (
        "0.0.0.0/8",  # "this network"
        "fec0::/10",  # site-local, before fc00::/7 took its place
        "192.0.0.0/24",  # of protocols
        "192.88.99.0/24",  # relays of 6to4, given up
        "3fff::/20",  # documentation
    )
)
_NAT64 = ip_network("64:ff9b::/96")
# What the C library's inet_aton reads: up to four numbers, decimal, octal or hexadecimal.
_NUMBERS = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)


def literal_address(host: str) -> Address | None:
    """The address that a host is, in any spelling that a resolver takes, such as `127.1`,
    `0x7f000001`, or with a scope; None for a name.
    """
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    if _NUMBERS.fullmatch(host) is None:
        return None
    try:
        return IPv4Address(socket.inet_aton(host.removesuffix(".")))
    except OSError:
        return None


def reach_of(text: str) -> Reach:
    """How far the address in `text` (as a socket gets it, perhaps with a scope) lies. What is no
    address leads nowhere.
    """
    address = literal_address(text)
    if address is None:
        return Reach.FORBIDDEN
    if isinstance(address, IPv6Address) and address.teredo is not None:
        # Packets go to the relay first, and then to the client behind it.
        return max((_reach(one) for one in address.teredo), key=_STRICTER.index)
    return _reach(_embedded(address))


def _reach(address: Address) -> Reach:
    if any(address in network for network in (*_METADATA, *_NOWHERE)):
        return Reach.FORBIDDEN
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return Reach.FORBIDDEN
    if address.is_loopback or any(address in network for network in _PRIVATE):
        return Reach.PRIVATE
    # What is left and not global is reserved, or for documentation and benchmarks.
    return Reach.PUBLIC if address.is_global and not address.is_reserved else Reach.FORBIDDEN


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it stands for one."""
    if not isinstance(address, IPv6Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    compatible = int(address) >> 32 == 0 and int(address) > 1
    return IPv4Address(int(address) & 0xFFFFFFFF) if compatible or address in _NAT64 else address
