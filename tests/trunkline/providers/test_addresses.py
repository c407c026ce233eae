"""How far an address lies, in every notation that a socket may show it in."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.providers.addresses import Reach, reach_of


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "104.18.6.192", "2606:4700::6812:6c0", "64:ff9b::101:101", "2002:101:101::1"],
)
def test_public_addresses(address: str) -> None:
    assert reach_of(address) is Reach.PUBLIC


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "::ffff:127.0.0.1",
        "10.0.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "fd12:3456:789a::1",
        "2002:7f00:1::",
        "64:ff9b::c0a8:101",
        "2001:0:808:808::80ff:fffe",
        "127.1",
    ],
)
def test_loopback_and_private_ranges_are_by_setting(address: str) -> None:
    assert reach_of(address) is Reach.PRIVATE


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "ff02::1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "2001:db8::1",
        "3fff::1",
        "192.0.0.8",
        "192.88.99.1",
        "2001:0:a9fe:a9fe::f7f7:f7f7",
        "2001:0:808:808::5601:5601",
        "0xa9fea9fe",
        "nowhere.example",
        "",
    ],
)
def test_nobody_goes_to_link_local_metadata_or_reserved_addresses(address: str) -> None:
    assert reach_of(address) is Reach.FORBIDDEN


@given(st.integers(2**16, 2**32 - 1))
def test_an_ipv4_address_in_an_ipv6_coat_lies_where_it_lay(number: int) -> None:
    bare = reach_of(str(IPv4Address(number)))
    for prefix in (0, 0xFFFF << 32, 0x64FF9B << 96):
        assert reach_of(str(IPv6Address(prefix | number))) is bare
