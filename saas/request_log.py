"""gunicorn's log: a record for each request, and its own messages in our format."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from saas import config, logs, metrics
from saas.proxies import HEALTH

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_LONGEST_PATH = 200  # characters


class RequestLogger(Logger):
    """Log requests without URLs of known routes, IPs and secrets, and count them."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logs.formatter(config.environment().get("SAAS_ENV", "development")))
        handler.addFilter(logs.remove_secrets)
        for logger in (self.error_log, self.access_log):
            logger.handlers = [handler]

    def access(
        self, resp: Any, req: Any, environ: MutableMapping[str, Any], request_time: timedelta
    ) -> None:
        """Log and count a request that was answered."""
        about = environ.get("saas.request", {})
        path = environ.get("PATH_INFO", "")
        method = req.method if req.method in _METHODS else "other"
        route = about.get("route") or ("static" if path.startswith("/static/") else "unknown")
        seconds = request_time.total_seconds()
        metrics.REQUESTS.labels(route, method, resp.status_code).observe(seconds)
        if path in HEALTH and resp.status_code == 200:
            return  # platforms ask every few seconds
        self.access_log.info(
            "%s %s %s", method, route if about.get("route") else _shown(path), resp.status_code,
            extra={
                **about,
                "method": method,
                "route": route,
                "status": resp.status_code,
                "milliseconds": round(seconds * 1000, 1),
                "bytes": resp.sent or resp.response_length or 0,  # sendfile is not counted
            },
        )  # fmt: skip


def _shown(path: str) -> str:
    """Return a path that belongs to no route, without secrets and email addresses."""
    return logs.without_addresses(logs.without_secrets(path[:_LONGEST_PATH]))
