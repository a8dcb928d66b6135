"""gunicorn: two processes with eight threads each, behind a buffering proxy.

If the platform sets PORT, its proxy runs on another machine, so we listen on all interfaces. BIND
overrides this. Without both, we listen on loopback.

A hundred slow connections block gunicorn; behind nginx they do not.
"""

import os
import re
import shutil
import sys
import tempfile
from typing import Any

from saas.config import ConfigError, environment


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


logger_class = "saas.request_log.RequestLogger"
bind = _bind()
workers = _number("WEB_CONCURRENCY", "2", 1, 1000)
worker_class = "saas.web_worker.DrainingWorker"
threads = 8
preload_app = True
graceful_timeout = 30
control_socket_disable = True
# Only TRUSTED_PROXIES decides which headers are trusted. By default gunicorn trusts SCRIPT_NAME,
# PATH_INFO and X-Forwarded-Proto from loopback, and proxies pass these on from any client.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}

# Must be set before prometheus_client is imported. A release that starts beside this one has its
# own folder.
try:
    _settings = environment()
except ConfigError as error:
    sys.exit(str(error))
_serves_metrics = bool(re.fullmatch(r"[0-9]{1,5}", _settings.get("METRICS_PORT", "")))
if _serves_metrics:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="metrics-")


def when_ready(server: Any) -> None:
    """Serve the metrics of all processes."""
    if _serves_metrics:
        from saas import metrics

        app = server.app.wsgi()
        host, port = app.config["METRICS_HOST"], app.config["METRICS_PORT"]
        metrics.serve(app, host, port, several_processes=True)


def post_fork(_server: Any, worker: Any) -> None:
    """Keep connections of the main process out of this one."""
    if _serves_metrics:
        from saas import metrics

        metrics.after_fork(worker.app.wsgi())


def child_exit(_server: Any, worker: Any) -> None:
    """Drop the gauges of a process that has ended."""
    if _serves_metrics:
        from saas import metrics

        metrics.forget_process(worker.pid)


def on_exit(_server: Any) -> None:
    """Remove the files of the metrics."""
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        shutil.rmtree(folder, ignore_errors=True)
