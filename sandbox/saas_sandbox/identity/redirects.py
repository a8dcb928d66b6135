"""Validate redirect URIs, and add parameters to them."""

import ipaddress
import re
from urllib.parse import urlencode, urlsplit

# RFC 3986, without the fragment: RFC 6749, 3.1.2, "MUST NOT include a fragment component".
CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]{1,2000}")
AUTHORITY = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


def is_allowed(uri: str) -> bool:
    """Return whether a URI is absolute, and https, or http on this machine, as Google requires."""
    if not CHARACTERS.fullmatch(uri):
        return False
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 reading it checks it
    except ValueError:
        return False
    host = parts.hostname or ""
    if not AUTHORITY.fullmatch(parts.netloc) or not (_is_host_name(host) or _is_ip(host)):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def append_params(uri: str, params: dict[str, str]) -> str:
    """Add parameters to a URI.

    RFC 6749, 3.1.2: a query component "MUST be retained when adding additional parameters".
    """
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(params)}"


def _is_host_name(host: str) -> bool:
    """Check labels (RFC 1035, 2.3.4): longer ones are not valid in a Location header."""
    return all(1 <= len(label) <= 63 for label in host.split(".")) and ":" not in host


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if _is_ip(host):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")
