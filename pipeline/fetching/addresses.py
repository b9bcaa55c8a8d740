"""Which addresses of the internet may be connected to: those that everybody can reach, and no others.

A pool's URLs are written by strangers, who may point them at what only this machine can reach: its own services, the
cloud's metadata server (169.254.169.254), routers and printers of the local network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# An IPv6 address with one of these prefixes is delivered to the IPv4 address in its last 32 bits (RFC 6052, RFC 8215).
_TRANSLATED = tuple(ipaddress.IPv6Network(prefix) for prefix in ("64:ff9b::/96", "64:ff9b:1::/48"))
# Addresses of the form ::a.b.c.d, which some systems still deliver to a.b.c.d (RFC 4291, section 2.5.5.1).
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def is_global(text: str, loopback: bool = False) -> bool:
    """Say whether an address is one of the public internet, whatever notation or tunnel it comes in.

    Args:
        text: An IPv4 or IPv6 address; a zone (`fe80::1%eth0`) is allowed.
        loopback: Whether this machine's own addresses pass too, as tests need it.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if loopback and address.is_loopback:
        return True
    return all(_is_public(one) for one in _meanings(address))


def _meanings(address: Address) -> Iterator[Address]:
    """List the address and those that it is another way to write."""
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in (*_TRANSLATED, _COMPATIBLE)):
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    yield from (one for one in inner if one is not None)


def _is_public(address: Address) -> bool:
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    local = address.is_loopback or address.is_link_local or address.is_private
    local = local or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    mapped = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None
    # A mapped address is reserved by itself; what it maps to is looked at on its own.
    return mapped or (address.is_global and not special and not local)
