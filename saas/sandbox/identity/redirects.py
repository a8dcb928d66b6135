"""Redirect addresses: which ones are taken, and how an answer is put on them."""

import ipaddress
import re
from urllib.parse import SplitResult, urlencode, urlsplit

# RFC 3986, without the fragment: RFC 6749, 3.1.2, "MUST NOT include a fragment component".
CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]{1,2000}")


def is_usable(address: str) -> bool:
    """Absolute; https anywhere, http on this machine only, as Google has it."""
    if not CHARACTERS.fullmatch(address):
        return False
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 reading it is what checks it
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts))


def with_answer(address: str, answer: dict[str, str]) -> str:
    """RFC 6749, 3.1.2: a query component "MUST be retained when adding additional parameters"."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode(answer)}"


def _is_loopback(parts: SplitResult) -> bool:
    host = (parts.hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
