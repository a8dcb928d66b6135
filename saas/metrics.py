"""Metrics for Prometheus, served on a port of their own if `METRICS_PORT` is set.

Counters and durations are kept by the process that counts them; under gunicorn, all its processes
write to files that are summed up. Values that are in the database are read from it at each scrape,
by functions that packages register with `@metrics.gauge`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from flask import Flask
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from saas import deadlines
from saas.extensions import db

Read = TypeVar("Read", bound=Callable[[], float | Mapping[str, float]])
log = logging.getLogger("saas.metrics")

REQUESTS = Histogram(
    "saas_request_duration_seconds",
    "Requests by route, method and status.",
    ["route", "method", "status"],
)
WEBHOOK_EVENTS = Counter(
    "saas_webhook_events_total", "Stripe's events by type and outcome.", ["type", "outcome"]
)
WEBHOOK_EVENT_AGE = Histogram(
    "saas_webhook_event_age_seconds",
    "Time between the creation of an event in Stripe and its effect.",
    buckets=(1, 2, 5, 10, 30, 60, 300, 3600, 86400),
)
STRIPE_CALLS = Histogram(
    "saas_stripe_call_duration_seconds", "Calls to Stripe by outcome.", ["outcome"]
)
JOBS = Counter(
    "saas_jobs_total", "Jobs and periodic tasks by name and outcome.", ["job", "outcome"]
)
DATABASE_CONNECTIONS = Gauge(
    "saas_database_connections_in_use",
    "Database connections in use.",
    multiprocess_mode="livesum",
)

_RETRY_EVERY = 5.0  # seconds, while another process has the port, such as during a release
_SCRAPE_TIMEOUT = 5.0  # seconds for the database
_gauges: dict[str, tuple[str, str, Callable[[], float | Mapping[str, float]]]] = {}


def gauge(name: str, description: str, label: str = "") -> Callable[[Read], Read]:
    """Register a function that reads a value from the database at each scrape.

    With a `label`, the function returns a value for each of its values.
    """

    def register(read: Read) -> Read:
        _gauges[name] = (description, label, read)
        return read

    return register


@contextmanager
def counting_job(name: str) -> Iterator[None]:
    """Count a job that runs in the block, as done or failed."""
    try:
        yield
    except BaseException:
        JOBS.labels(name, "failed").inc()
        raise
    JOBS.labels(name, "done").inc()


@contextmanager
def timing_stripe_call() -> Iterator[None]:
    """Measure a call to Stripe in the block; an exception's type is the outcome."""
    started_at, outcome = time.monotonic(), "ok"
    try:
        yield
    except Exception as error:
        outcome = type(error).__name__
        raise
    finally:
        STRIPE_CALLS.labels(outcome).observe(time.monotonic() - started_at)


class DatabaseValues(Collector):
    """The registered gauges. If one cannot be read, it and the following ones are missing."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def collect(self) -> Iterable[Metric]:
        with self.app.app_context(), deadlines.deadline(_SCRAPE_TIMEOUT):
            for name, (description, label, read) in _gauges.items():
                try:
                    value = read()
                except Exception as error:  # each database and queue has its own
                    log.warning("metric %s could not be read: %s", name, type(error).__name__)
                    return  # Prometheus waits ten seconds for all of them
                family = GaugeMetricFamily(name, description, labels=[label] if label else None)
                values = value if isinstance(value, Mapping) else {"": value}
                for of, number in values.items():
                    family.add_metric([of] if label else [], float(number))
                yield family


def serve(app: Flask, host: str, port: int, *, several_processes: bool = False) -> None:
    """Serve the metrics at `/metrics` from a thread."""
    registry = CollectorRegistry() if several_processes else REGISTRY
    if several_processes:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has no types
    registry.register(DatabaseValues(app))
    threading.Thread(
        target=_serve, args=(registry, host, port), daemon=True, name="metrics"
    ).start()


def after_fork(app: Flask) -> None:
    """Forget connections that a scrape in gunicorn's main process holds: they are its own."""
    with app.app_context():
        db.engine.dispose(close=False)


def forget_process(pid: int) -> None:
    """Drop the gauges of a process that has ended."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]  # it has no types


def _serve(registry: CollectorRegistry, host: str, port: int) -> None:
    is_logged = False
    while True:
        try:
            server = make_server(
                host, port, make_wsgi_app(registry), _Server, handler_class=_QuietHandler
            )
        except OSError as error:
            if not is_logged:
                log.warning("metrics are not served at %s:%s: %s", host, port, error.strerror)
            is_logged = True
            time.sleep(_RETRY_EVERY)
        else:
            server.serve_forever()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    timeout = 10  # seconds; a silent connection must not stay

    def log_message(self, format: str, *args: object) -> None:
        """Log no scrapes."""
