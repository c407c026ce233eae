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


_METADATA = frozenset(
    {
        # Beside 169.254.169.254 and fe80::/10, which are link-local: clouds' metadata services.
        ip_address("fd00:ec2::254"),
        ip_address("100.100.100.200"),
        ip_address("192.0.0.192"),
        ip_address("168.63.129.16"),
    }
)
_SHARED = ip_network("100.64.0.0/10")
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_THIS_NETWORK = ip_network("0.0.0.0/8")


def reach_of(text: str) -> Reach:
    """How far the address in `text` (as a socket gives it, perhaps with a scope) lies."""
    address = _embedded(ip_address(text.partition("%")[0]))
    if address in _METADATA or address.is_link_local or address.is_multicast:
        return Reach.FORBIDDEN
    if address.is_unspecified or (address.version == 4 and address in _THIS_NETWORK):
        return Reach.FORBIDDEN
    if address.is_loopback or (address.version == 4 and address in _SHARED):
        return Reach.PRIVATE
    if address.is_reserved and not address.is_private:
        return Reach.FORBIDDEN
    if isinstance(address, IPv6Address) and address.is_site_local:
        return Reach.FORBIDDEN
    return Reach.PUBLIC if address.is_global else _private_or_forbidden(address)


def _private_or_forbidden(address: Address) -> Reach:
    ranges = (
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16") if address.version == 4 else ("fc00::/7",)
    )
    fits = any(address in ip_network(one) for one in ranges)
    return Reach.PRIVATE if fits else Reach.FORBIDDEN


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
    if any(address in network for network in _NAT64) or (
        int(address) >> 32 == 0 and int(address) > 1
    ):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
