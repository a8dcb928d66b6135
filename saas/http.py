"""HTTP requests that use the environment's proxies and certificates, but never `~/.netrc`.

requests would send credentials from `~/.netrc` instead of our own keys. A service that hangs
holds only a part of a process's threads.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import requests
from flask import has_request_context

from saas import bulkheads

_LONGEST_REASON = 200
_PLACES = bulkheads.Bulkhead(5)  # of a process's eight threads
_WITH_ENVIRONMENT = requests.Session()  # used only to read the settings of the environment


class Session(requests.Session):
    """A session that ignores `~/.netrc` and never sends loopback requests through a proxy."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.trust_env = False

    def merge_environment_settings(
        self, url: str | bytes | None, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        if not is_loopback(urlsplit(str(url)).hostname):
            settings = _WITH_ENVIRONMENT.merge_environment_settings(
                url, proxies, stream, verify, cert
            )
            proxies, verify = settings["proxies"], settings["verify"]
        return super().merge_environment_settings(url, proxies, stream, verify, cert)

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request and follow redirects; in one of the places while a view waits for it."""
        if not has_request_context():
            return super().request(*args, **kwargs)
        try:
            with _PLACES.place():
                return super().request(*args, **kwargs)
        except bulkheads.Full as error:
            raise requests.ConnectionError(str(error)) from None


def is_loopback(host: str | None) -> bool:
    """Return whether a host name or IP address means this machine."""
    name = (host or "").rstrip(".").lower()
    try:
        ip = ipaddress.ip_address(name)
        return ip.is_loopback or ip.is_unspecified
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def request(method: str, url: str, **options: Any) -> requests.Response:
    """Send one request on its own connection."""
    with Session() as session:
        return session.request(method, url, **options)


def root_cause(error: BaseException) -> str:
    """Return why a connection failed: `ConnectionRefusedError: Connection refused`.

    The exceptions that wrap it contain IPs and URLs, which may include secrets.
    """
    while inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = inner
    reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
    kind = type(error).__name__
    return f"{kind}: {reason}" if reason and len(reason) <= _LONGEST_REASON else kind
