"""gunicorn: two processes with eight threads each, behind a buffering proxy.

If the platform sets PORT, its proxy runs on another machine, so we listen on all interfaces. BIND
overrides this. Without both, we listen on loopback.

A hundred slow connections block gunicorn; behind nginx they do not.
"""

import os
import re
import sys
from typing import Any

from gunicorn.glogging import Logger

from saas.logs import without_secrets


class DiscreetLogger(Logger):
    """Removes secrets from the access log, so that its lines cannot be used to sign in."""

    def atoms(self, *args: Any) -> dict[str, Any]:
        atoms = super().atoms(*args)
        return {
            name: without_secrets(said) if isinstance(said, str) else said
            for name, said in atoms.items()
        }


def _number(name: str, otherwise: str, least: int, most: int) -> int:
    given = os.environ.get(name, "").strip() or otherwise
    if not re.fullmatch(r"[0-9]{1,9}", given) or not least <= int(given) <= most:
        sys.exit(f"{name} must be a whole number from {least} to {most}, not {given!r}.")
    return int(given)


def _bind() -> str:
    given = os.environ.get("BIND", "").strip()
    if not given and os.environ.get("PORT", "").strip():
        return f"0.0.0.0:{_number('PORT', '', 1, 65535)}"
    port = re.fullmatch(r"(?:[^\s:]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})", given)
    if given and not given.startswith(("unix:", "fd://")) and not (port and int(port[1]) < 65536):
        sys.exit(f"BIND must be an IP or host and a port, as in 127.0.0.1:5000, not {given!r}.")
    return given or "127.0.0.1:5000"


logger_class = DiscreetLogger
bind = _bind()
workers = _number("WEB_CONCURRENCY", "2", 1, 1000)
worker_class = "gthread"
threads = 8
preload_app = True
graceful_timeout = 30
control_socket_disable = True
# Only TRUSTED_PROXIES decides which headers are trusted. By default gunicorn trusts SCRIPT_NAME,
# PATH_INFO and X-Forwarded-Proto from loopback, and proxies pass these on from any client.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
