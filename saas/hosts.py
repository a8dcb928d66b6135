"""Validate host names in settings and in the Host header."""

from __future__ import annotations

import re
from ipaddress import ip_address

import idna

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def is_host(name: str | None) -> bool:
    """Return whether this is a valid host name: an IP address, or valid DNS labels.

    A name whose last label is a number must be an IPv4 address:
    https://url.spec.whatwg.org/#ends-in-a-number-checker
    """
    labels = (name or "").lower().removesuffix(".").split(".")
    if ":" in labels[0] or labels[-1].isdigit():
        return is_ip(name or "")
    try:
        is_decodable = all(idna.ulabel(label) for label in labels if label.startswith("xn--"))
    except idna.IDNAError:
        return False
    return is_decodable and len(name or "") <= 253 and all(map(_LABEL.fullmatch, labels))


def is_ip(name: str) -> bool:
    """Return whether a name is an IPv4 or IPv6 address."""
    try:
        return bool(ip_address(name))
    except ValueError:
        return False
