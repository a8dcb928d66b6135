"""gunicorn: two processes of eight threads; a buffering proxy stands in front.

Where a platform gives PORT, its proxy comes from another machine, so all interfaces are listened
on; without PORT, or with BIND, it is loopback, or what BIND says.

gunicorn alone stops answering under a hundred slow connections; behind nginx it does not.
"""

import os
from typing import Any

from gunicorn.glogging import Logger

from saas.logs import without_secrets


class DiscreetLogger(Logger):
    """An access log, where one is wanted, that nobody can sign in with."""

    def atoms(self, *args: Any) -> dict[str, Any]:
        atoms = super().atoms(*args)
        return {
            name: without_secrets(said) if isinstance(said, str) else said
            for name, said in atoms.items()
        }


logger_class = DiscreetLogger
_port = os.environ.get("PORT", "")
bind = os.environ.get("BIND") or (f"0.0.0.0:{_port}" if _port else "127.0.0.1:5000")  # noqa: S104
workers = int(os.environ.get("WEB_CONCURRENCY") or "2")
worker_class = "gthread"
threads = 8
preload_app = True
graceful_timeout = 30
control_socket_disable = True
# TRUSTED_PROXIES alone says which headers count. gunicorn of itself believes SCRIPT_NAME, PATH_INFO
# and X-Forwarded-Proto of whoever connects from loopback, and proxies pass those on from anybody.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
