"""Which addresses a request may connect to.

Checked on the address itself, after DNS and for literals alike: names that resolve to a private
address, and DNS answers that change, end here.
"""

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
# "This network", and what was site-local before fc00::/7 took its place.
_NOWHERE = (ip_network("0.0.0.0/8"), ip_network("fec0::/10"))
_NAT64 = ip_network("64:ff9b::/96")


def reach_of(text: str) -> Reach:
    """How far the address in `text` (as a socket gives it, perhaps with a scope) lies."""
    address = _embedded(ip_address(text.partition("%")[0]))
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
    if address.teredo is not None:
        return address.teredo[1]
    compatible = int(address) >> 32 == 0 and int(address) > 1
    return IPv4Address(int(address) & 0xFFFFFFFF) if compatible or address in _NAT64 else address
