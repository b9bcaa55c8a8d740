"""Which addresses of the internet may be connected to: those that everybody can reach, and no others.

A pool's URLs are written by strangers, who may point them at what only this machine can reach: its own services, the
cloud's metadata server (169.254.169.254), routers and printers of the local network.
"""

from __future__ import annotations

import ipaddress

_UNICAST = ipaddress.IPv6Network("2000::/3")
"""What of IPv6 is given out to be reached from everywhere (IANA, "IPv6 Global Unicast Address Assignments").

Outside lie loopback, link-local, site-local, unique local, multicast and reserved addresses, and those that are
delivered to the IPv4 address in their last 32 bits: `64:ff9b::/96`, `64:ff9b:1::/48` (RFC 6052, RFC 8215), `::/96`
(RFC 4291)."""


def is_global(text: str, loopback: bool = False) -> bool:
    """Say whether an address is one of the public internet, whatever notation or tunnel it comes in.

    Args:
        text: An IPv4 or IPv6 address; a zone (`fe80::1%eth0`) is allowed.
        loopback: Whether this machine's own addresses pass too, as tests need it.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if loopback and address.is_loopback:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return _is_public(address)
    if address.ipv4_mapped is not None:
        return _is_public(address.ipv4_mapped)
    tunnelled = address.sixtofour is None or _is_public(address.sixtofour)
    # Teredo's addresses, the other tunnel's, are none of the public internet to begin with.
    return address in _UNICAST and address.is_global and tunnelled


def _is_public(address: ipaddress.IPv4Address) -> bool:
    return address.is_global and not address.is_multicast
