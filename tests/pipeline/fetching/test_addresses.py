"""Only the public internet is connected to, in whatever notation an address comes."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetching.addresses import is_global


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "64:ff9b:1::a00:1", "64:ff9b::808:808", "::8.8.8.8", "4000::1", "fdff::1", "ff0e::1",
        "2002:7f00:1::", "2002:a00:1::1", "::127.0.0.1", "2001:db8::1", "2001:0:a00:1::f5ff:fffe",
        "", "example.org", "127.1", "0x7f000001",
    ],
)  # fmt: skip
def test_what_is_not_of_the_public_internet_is_refused(text: str) -> None:
    assert not is_global(text)


@pytest.mark.parametrize(
    "text",
    ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "2a00:1450:4001::1"],
)
def test_what_everybody_reaches_is_allowed(text: str) -> None:
    assert is_global(text)


@pytest.mark.parametrize("text", ["127.0.0.1", "::1"])
def test_tests_may_allow_this_machine_and_nothing_else(text: str) -> None:
    assert is_global(text, loopback=True)
    assert not is_global("10.0.0.1", loopback=True)
    assert not is_global("169.254.169.254", loopback=True)


@given(st.ip_addresses(v=4))
def test_an_address_in_ipv6_clothes_is_what_it_is_inside(address: ipaddress.IPv4Address) -> None:
    plain = is_global(str(address))
    number = int(address)
    assert is_global(str(ipaddress.IPv6Address((0xFFFF << 32) | number))) == plain
    assert is_global(str(ipaddress.IPv6Address((0x64FF9B << 96) | number))) <= plain
    assert is_global(str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1))) <= plain
