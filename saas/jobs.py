"""Background jobs: the queue (Huey) passes ids of rows to workers; a schedule runs periodic tasks.

A package registers background tasks with `@jobs.task`, periodic ones with `@jobs.periodic_task`,
and daily ones with `@jobs.daily`. Pending work is stored in rows: if a job is lost, a periodic task
finds its row. The schedule does not use the queue, so this also works while it is unreachable.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any, Generic, ParamSpec

from flask import Flask, current_app
from huey import Huey, MemoryHuey
from sqlalchemy import make_url

from saas import database, deadlines, metrics, postgres_timeouts
from saas.schedule import Schedule, refuse_duplicate

Args = ParamSpec("Args")
log = logging.getLogger("saas.jobs")

_CHECK_EVERY = 5.0  # seconds between checks for due tasks
MAX_OVERDUE = timedelta(minutes=5)  # of a periodic task; beyond it no worker seems to run
_QUEUE_RETRY = 30.0  # seconds after an error in which no job is sent to the queue
_RECONNECT_EVERY = 5.0  # seconds between attempts to reach the queue
_SCHEDULERS = 2  # threads, so that a long task does not hold up the others

_tasks: dict[str, Callable[..., None]] = {}

# The tasks that packages register and the worker runs.
_schedule = Schedule()
periodic_task = _schedule.periodic_task
daily = _schedule.daily
run_periodic_tasks = _schedule.run
overdue = _schedule.overdue

metrics.gauge(
    "saas_task_overdue_seconds", "Time since a periodic task should have run.", label="task"
)(_schedule.overdue_by_task)


@dataclass(frozen=True)
class Task(Generic[Args]):
    """A function that a worker can run, with a name that all processes know."""

    function: Callable[Args, None]

    def __call__(self, *args: Args.args, **kwargs: Args.kwargs) -> None:
        self.function(*args, **kwargs)

    def enqueue(self, *args: Args.args, **kwargs: Args.kwargs) -> None:
        """Run in a worker after the current transaction commits.

        Pass only ids as arguments: the queue is no place for personal data.
        """
        name = self.function.__name__
        queue: Queue = current_app.extensions["queue"]
        database.after_commit(lambda: queue.send(name, args, kwargs))


def task(function: Callable[Args, None]) -> Task[Args]:
    """Register a function as a task under its name, which must be unique."""
    registered = _tasks.setdefault(function.__name__, function)
    refuse_duplicate("tasks", registered, function)
    return Task(function)


def init_app(app: Flask) -> None:
    """Set up the application's queue."""
    app.extensions["queue"] = Queue(app)


class Queue:
    """Huey for one application, created on first use.

    Huey opens its storage in its constructor. Pages that queue nothing should not wait for it, and
    an unreachable queue should not prevent the application from starting.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._retry_at = 0.0

    @cached_property
    def huey(self) -> Huey:
        huey = _huey(self.app.config["JOBS_URL"], Path(self.app.instance_path))
        self.run = huey.task()(self._run_task)
        return huey

    def ping(self) -> None:
        """Check that the queue is reachable; raise the storage's exception if not."""
        self.huey.storage.queue_size()

    def send(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Pass a job to the next free worker.

        An unreachable queue must not fail what is already committed, and must not delay every
        request: after an error, jobs are left to the periodic tasks for a while.
        """
        if monotonic() < self._retry_at:
            return
        try:
            self.huey  # noqa: B018 - creates it, and the task for jobs
            self.run(name, args, kwargs)
        except Exception:
            self._retry_at = monotonic() + _QUEUE_RETRY
            log.exception(
                "a job could not be queued; a periodic task will do it", extra={"job": name}
            )

    def _run_task(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with self.app.app_context(), metrics.counting_job(name):
            _tasks[name](*args, **kwargs)


def run_worker(app: Flask, workers: int = 2) -> None:
    """Run jobs and periodic tasks until SIGTERM or SIGINT; a running task may finish."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())  # until the consumer handles them
    schedulers = [
        threading.Thread(target=_follow_schedule, args=(app, stop), name="schedule")
        for _ in range(_SCHEDULERS)
    ]
    for scheduler in schedulers:
        scheduler.start()
    try:
        if huey := _connect(app.extensions["queue"], stop):
            consumer = huey.create_consumer(
                workers=workers,
                worker_type="thread",
                periodic=False,
                initial_delay=0.05,
                max_delay=0.5,
                graceful_signal="TERM",
            )
            # It handles signals only once its threads run; one that came before ends it too.
            consumer.stop_flag = stop
            consumer.run()
    finally:
        stop.set()
        for scheduler in schedulers:
            scheduler.join()


def _follow_schedule(app: Flask, stop: threading.Event) -> None:
    """Run due tasks until `stop` is set."""
    while True:
        try:
            with app.app_context():
                run_periodic_tasks()
        except Exception:
            log.exception("the periodic tasks could not be run")
        if stop.wait(_CHECK_EVERY):
            return


def _connect(queue: Queue, stop: threading.Event) -> Huey | None:
    """Return the queue once it is reachable, or None if `stop` is set first."""
    is_logged = False
    while not stop.is_set():
        try:
            queue.ping()
            return queue.huey
        except Exception as error:  # each storage raises its own exceptions
            if not is_logged:
                reason = str(error).strip().partition("\n")[0] or type(error).__name__
                log.warning("the queue is unreachable, so only periodic tasks run: %s", reason)
            is_logged = True
            stop.wait(_RECONNECT_EVERY)
    return None


def _huey(url: str, instance: Path) -> Huey:
    if url == "inline:":
        return MemoryHuey("saas", immediate=True, results=False)
    if url.startswith("sqlite:///"):
        from huey import SqliteHuey

        path = instance / url.removeprefix("sqlite:///")
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteHuey("saas", filename=str(path), results=False)
    if url.startswith("postgresql"):
        from huey import PostgresHuey

        # libpq does not know SQLAlchemy's driver names, as in postgresql+psycopg://.
        dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        # Not blocking: LISTEN needs a dedicated connection, which a pooler does not provide.
        return PostgresHuey(
            "saas", dsn=dsn, results=False, blocking=False, **postgres_timeouts.POOLABLE
        )
    from huey import RedisHuey
    from redis import ConnectionPool

    # A worker's blocking read ends after a second, by Huey's `read_timeout`.
    pool = ConnectionPool.from_url(url, socket_connect_timeout=1.0, socket_timeout=2.0)
    return RedisHuey("saas", connection_pool=pool, results=False)


@metrics.gauge("saas_queue_up", "1 if the queue is reachable, otherwise 0.")
def _queue_up() -> float:
    try:
        deadlines.run_within_deadline(current_app.extensions["queue"].ping, name="queue")
    except Exception:  # each storage raises its own exceptions
        return 0
    return 1
