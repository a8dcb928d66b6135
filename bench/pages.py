"""Measure CPU time per request, of the whole process tree, next to bare Flask.

    make bench                      SQLite
    make bench DATABASE=postgres    PostgreSQL, which the script starts

This uses gunicorn with two workers and eight busy connections. Both servers run all the time and
are asked in turns of a second or two, because machines change their speed; each figure is the
median of the rounds. Machines differ, so compare the ratios, not the milliseconds. A bar is what we
aim at. The results are saved in instance/bench.json, and shown beside those of the last run.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
REQUESTS, CONNECTIONS, WEBHOOKS, ROUNDS = 800, 8, 160, 7
RESULTS = ROOT / "instance" / "bench.json"
BARE = """
from flask import Flask
from whitenoise import WhiteNoise
app = Flask("bare")
app.add_url_rule("/", view_func=lambda: "x" * 15_000)
with_files = WhiteNoise(app.wsgi_app, root={root!r}, prefix="static/")
plain = app.wsgi_app
app.wsgi_app = lambda environ, start: (
    with_files if environ["PATH_INFO"].startswith("/static/") else plain
)(environ, start)
"""

# A request: method, path, headers, body; built for each request.
Ask = Callable[[], tuple[str, str, dict[str, str], str | None]]


@dataclass(frozen=True)
class Request:
    """A request to measure."""

    ask: Ask
    bar: str
    times: int = REQUESTS
    application: str = "wsgi:app"


def main() -> None:
    """Measure, print a line for each request, and save the results."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    database = parser.parse_args().database
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE.format(root=str(ROOT / "product" / "static")))
        env, asks = prepared(folder, stack, database)
        env["PYTHONPATH"] = f"{ROOT}:{folder}"
        servers = {
            application: stack.enter_context(serving_by_gunicorn(application, env))
            for application in ("bare:app", "wsgi:app")
        }
        results = {
            f"{what}, {database}": measured(
                what, asks[what], servers, before.get(f"{what}, {database}")
            )
            for what in asks
        }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**before, **results}, indent=2))


def measured(
    what: str, request: Request, servers: dict[str, Server], before: float | None
) -> float:
    """Measure a request beside bare Flask, print a line, and return the ratio."""
    bare, server = servers["bare:app"], servers[request.application]
    for one, ask in ((bare, get("/")), (server, request.ask)):
        one.cost(ask, CONNECTIONS * 10)  # fills its caches
    rounds = [
        (server.cost(request.ask, request.times), bare.cost(get("/"), REQUESTS))
        for _ in range(ROUNDS)
    ]
    spent = median(spent for spent, _ in rounds)
    ratio = round(median(spent / floor for spent, floor in rounds), 2)
    last = f"   last time {before:.1f}" if before else ""
    print(f"{what:<36} {spent:6.2f} ms {ratio:6.1f} x bare Flask   {request.bar}{last}", flush=True)
    return ratio


def get(path: str, **headers: str) -> Ask:
    """Return a GET of a path."""
    return lambda: ("GET", path, headers, None)


def prepared(
    folder: Path, stack: ExitStack, database: str
) -> tuple[dict[str, str], dict[str, Request]]:
    """Return the servers' environment, and the requests.

    The sandbox runs in this process, so its CPU time is not counted.
    """
    from tests.harness import stripe_account
    from tests.harness.clients import start_session

    shop, env = opened_shop(folder, stack, database)
    # One for each connection: events of one customer wait for each other.
    subscribers = [
        stripe_account.subscriber(shop, f"bench{number}@example.com")
        for number in range(CONNECTIONS)
    ]
    stripe_account.remove_endpoints(shop)
    name, value, _ = start_session(shop.app, subscribers[0][0])
    cookie = {"Cookie": f"{name}={value}"}
    subjects = cycle(
        {"id": subscription, "object": "subscription", "customer": user.stripe_customer_id}
        for user, subscription in subscribers
    )

    return env, {
        "GET / anonymous": Request(get("/"), "bar 1.8"),
        "GET /pricing anonymous": Request(get("/pricing"), "bar 1.8"),
        "GET /login": Request(get("/login"), "bar 3.7"),
        "GET a static file, WhiteNoise alone": Request(
            get("/static/css/app.css"), "", application="bare:app"
        ),
        "GET a static file": Request(get("/static/css/app.css"), "bar: WhiteNoise alone"),
        "GET /dashboard": Request(get("/dashboard", **cookie), "bar 5, PostgreSQL 6"),
        "GET /dashboard/billing": Request(
            get("/dashboard/billing", **cookie), "bar 5, PostgreSQL 6"
        ),
        "GET /dashboard/settings": Request(get("/dashboard/settings", **cookie), "bar 8"),
        "POST webhook, bad signature": Request(
            webhook(shop, "x.y", subjects, signed=False), "bar 2"
        ),
        "POST webhook, ignored type": Request(webhook(shop, "product.created", subjects), "bar 3"),
        "POST webhook, applied": Request(
            webhook(shop, "customer.subscription.updated", subjects), "bar 8 ms", WEBHOOKS
        ),
    }


def webhook(
    shop: Any, kind: str, subjects: Iterator[dict[str, Any]], *, signed: bool = True
) -> Ask:
    """Return a request with a new event of this type, about each subject in turn."""
    from tests.harness import stripe_account

    def ask() -> tuple[str, str, dict[str, str], str | None]:
        event_id = f"evt_{uuid.uuid4().hex}"
        payload, headers = stripe_account.signed_event(shop, kind, next(subjects), id=event_id)
        if not signed:
            headers = {"Stripe-Signature": f"t={int(time.time())},v1={'0' * 64}"}
        return "POST", "/api/webhooks/stripe", headers, payload

    return ask


def opened_shop(folder: Path, stack: ExitStack, database: str) -> tuple[Any, dict[str, str]]:
    """Return a shop in this process, and the environment of servers on the same database."""
    from saas_sandbox import create_sandbox

    from saas import create_app
    from saas.billing.operator import provisioning
    from tests.harness.apps import SECRET, close, settings
    from tests.harness.servers import serving
    from tests.harness.shop import Shop

    url = database_url(folder, stack, database)
    sandbox = create_sandbox(str(folder / "sandbox.db"))
    stack.callback(sandbox.extensions["sandbox"].close)
    env = {
        "SAAS_ENV": "test", "SECRET_KEY": SECRET, "JOBS_URL": "inline:", "DATABASE_URL": url,
        "APP_URL": "http://localhost:5000", "SANDBOX_URL": stack.enter_context(serving(sandbox)),
        "SANDBOX_STRIPE_API_KEY": f"sk_test_{secrets.token_hex(16)}",
    }  # fmt: skip
    bare = create_app(settings("product", **env), "product")
    with bare.app_context():
        env |= provisioning.set_up(prefix="SANDBOX_")
    close(bare)
    app = create_app(settings("product", **env), "product")
    stack.callback(close, app)
    shop = Shop(app, env["APP_URL"], env["SANDBOX_URL"], env["SANDBOX_STRIPE_API_KEY"])
    return shop, {**os.environ, **env, "PYTHONPATH": str(ROOT)}


def database_url(folder: Path, stack: ExitStack, database: str) -> str:
    """Return the URL of a migrated database."""
    from tests.harness import postgres
    from tests.harness.apps import migrate

    url = f"sqlite:///{folder}/app.db"
    if database == "postgres":
        url = stack.enter_context(postgres.database(stack.enter_context(postgres.server(folder))))
    migrate(url, "product")
    return url


@dataclass(frozen=True)
class Server:
    """A running gunicorn."""

    port: int
    pid: int

    def cost(self, ask: Ask, requests: int) -> float:
        """Return the milliseconds of CPU that a request takes."""
        before = self._spent()
        share = requests // CONNECTIONS
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda _: send(self.port, ask, share), range(CONNECTIONS)))
        return (self._spent() - before) / requests * 1000

    def _spent(self) -> float:
        """Return the seconds of CPU that the process and its workers have used."""
        process = psutil.Process(self.pid)
        times = [one.cpu_times() for one in (process, *process.children())]
        return sum(spent.user + spent.system for spent in times)


def send(port: int, ask: Ask, times: int) -> None:
    """Send requests on one connection."""
    connection = HTTPConnection("127.0.0.1", port)
    for _ in range(times):
        method, path, headers, body = ask()
        connection.request(method, path, body, {"Host": "localhost:5000", **headers})
        response = connection.getresponse()
        content = response.read()
        expected = 400 if "x.y" in (body or "") else 200
        if response.status != expected:
            raise SystemExit(f"{path} returned {response.status}: {content[:200]!r}")
    connection.close()


@contextmanager
def serving_by_gunicorn(application: str, env: dict[str, str]) -> Iterator[Server]:
    """Serve an application with the project's gunicorn configuration."""
    from tests.harness.servers import free_port, is_listening

    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py")]
    server = subprocess.Popen(
        [*command, "--bind", f"127.0.0.1:{port}", "--log-level", "error", application],
        env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    ready = threading.Event()
    try:
        while not is_listening(port):
            if server.poll() is not None:
                raise SystemExit(f"gunicorn could not serve {application}")
            ready.wait(0.05)
        yield Server(port, server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


if __name__ == "__main__":
    main()
