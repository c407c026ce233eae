"""Which clients count as one, by their addresses."""

from ipaddress import IPv6Address, ip_address

_HOST_BITS = 64
_LONGEST_NAME = 64


def customer_of(host: str) -> str:
    """Equal for addresses that one customer has: an IPv4 address itself, of IPv6 the network of 64
    bits. What is no address stands for itself, cut.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host[:_LONGEST_NAME]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> _HOST_BITS:x}"
