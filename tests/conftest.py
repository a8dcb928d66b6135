"""What tests stand on: real databases, a real sandbox over HTTP, the application as a server."""

from __future__ import annotations

import dataclasses
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import Browser, sync_playwright
from saas_sandbox import create_sandbox
from werkzeug.serving import WSGIRequestHandler, make_server

from saas import create_app, products
from saas.billing.operator import provisioning
from saas.config import from_env
from saas.database import db
from saas.plans import Catalogue, Plan
from tests import postgres
from tests.visitor import Visitor

CHROMIUM = "/usr/bin/chromium"
_QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
os.environ["FLASK_SKIP_DOTENV"] = "1"  # what `make run` and its user wrote is not for tests
PRODUCT = "tests.harness.sample_product"  # not imported here: your own tests do without it
SECRET = "a-secret-for-tests-of-more-than-32-characters"


def pytest_configure() -> None:
    """Let the commands under test hear Ctrl-C, also where the tests run in the background.

    What a shell starts in the background ignores SIGINT, and so does everything that it starts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# Tests that take long and seldom find what the others do not: crashes, orders of events, random
# lives, faults, whole processes. `make test` leaves them to `make check`.
_THOROUGH = (
    "auth/providers/test_refusals.py::test_a_provider_that_", "billing/crashes",
    "billing/test_answers.py", "billing/test_deadlines.py", "billing/test_lives.py",
    "billing/test_orders.py", "billing/test_published_weaknesses.py", "billing/test_races.py",
    "billing/test_walking.py", "e2e", "jobs/test_workers.py", "look/test_brand.py",
    "og/test_crowd.py", "security/test_api.py", "security/test_behind_nginx.py",
    "security/test_clocks.py", "security/test_csrf.py", "security/test_faults.py",
    "security/test_fuzz.py", "security/test_kept_pages.py", "security/test_limits.py",
    "security/test_proxies.py", "security/test_races.py", "security/test_served.py",
    "security/test_slow.py", "startup", "test_migrations.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            name = f"{item.path.relative_to(here)}::{item.name}"
            if name.startswith(_THOROUGH):
                item.add_marker("thorough")


def settings(product: str = PRODUCT, /, **changes: str) -> dict[str, Any]:
    """The configuration of a test application, from the environment that it would have."""
    env = {"SAAS_ENV": "test", "SECRET_KEY": SECRET, "JOBS_URL": "inline:"}
    return from_env({**env, **changes}, products.load(product))


def own_env(**env: str) -> dict[str, str]:
    """The environment of a process of ours: what it is given, and nothing of who runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "FLASK_SKIP_DOTENV": "1", "SECRET_KEY": SECRET, **env}


class Quiet(WSGIRequestHandler):
    """A server that does not fill a failing test's output with its requests."""

    def log(self, type: str, message: str, *args: object) -> None:
        return

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        """A browser went away in the middle of a file, which Werkzeug may leave open then."""
        close = getattr((environ or {}).get("tests.answer"), "close", None)
        if close:
            close()


@contextmanager
def serving(app: Any, port: int = 0) -> Iterator[str]:
    """An application as a real server on loopback; its address."""

    def kept(environ: dict[str, Any], start_response: Any) -> Any:
        environ["tests.answer"] = answer = app(environ, start_response)
        return answer

    server = make_server("127.0.0.1", port, kept, threaded=True, request_handler=Quiet)
    server.daemon_threads = False  # type: ignore[attr-defined]  # wait for answers under way
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_used_ports: set[int] = set()


def free_port(neighbours: int = 1) -> int:
    """A port that is free, and so are those after it, as many as are asked for.

    Below the range from which the system takes ports for outgoing connections (32768 on Linux):
    one of those could be taken by any other test before we listen on it. Never the same one twice:
    the mailbox is shared, and tells tests apart by the port in their links.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        if not _used_ports.isdisjoint(range(port, port + neighbours)):
            continue
        with ExitStack() as stack:
            try:
                for number in range(port, port + neighbours):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            _used_ports.update(range(port, port + neighbours))
            return port


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium, one for all: Playwright runs once in a process."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        yield started
        started.close()


def close(app: Flask) -> None:
    """Give everything back that an application holds open."""
    with app.app_context():
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()
    if queue := vars(app.extensions["queue"]).get("huey"):  # made when it was first needed
        queue.storage.close()
    if app.config["REDIS_URL"]:
        app.extensions["limits"][0].storage.storage.close()
    for client in app.extensions.get("stripe", {}).values():
        client._requestor._client.close()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The sandbox's address. One for the run; every test has an account of its own in it."""
    stand_in = create_sandbox(str(tmp_path_factory.mktemp("sandbox") / "sandbox.db"))
    with serving(stand_in) as url:
        yield url
    stand_in.extensions["sandbox"].close()


@pytest.fixture(scope="session")
def product_package() -> str:
    """The product that is tested: the sample one, or in `product/tests` your own."""
    return PRODUCT


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory, product_package: str) -> Path:
    """A migrated, empty SQLite database, to copy."""
    path = tmp_path_factory.mktemp("template") / "app.db"
    migrate(f"sqlite:///{path}", product_package)
    return path


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres.server(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str, product_package: str) -> Iterator[str]:
    """A migrated, empty PostgreSQL database, to copy."""
    with postgres.database(postgres_server) as url:
        migrate(url, product_package)
        yield url


def migrate(url: str, product: str = PRODUCT) -> None:
    """Bring a database up to date."""
    app = create_app(settings(product, DATABASE_URL=url), product)
    with app.app_context():
        upgrade(revision="heads")
    close(app)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database of this test's own: SQLite, or PostgreSQL where it is parametrized."""
    if getattr(request, "param", "sqlite") == "sqlite":
        path = tmp_path / "app.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    server, template = (
        request.getfixturevalue(name) for name in ("postgres_server", "migrated_postgres")
    )
    with postgres.database(server, template) as url:
        yield url


both_databases = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


_compiled_templates = FileSystemBytecodeCache()  # compiled once, not again for each test


@pytest.fixture
def make_app(
    database_url: str, sandbox: str, product_package: str
) -> Iterator[Callable[..., Flask]]:
    """Makes applications on this test's database; `APP_URL` and the like are changed by keyword."""
    with ExitStack() as stack:

        def make(product: str = product_package, **changes: str) -> Flask:
            app = create_app(
                settings(
                    product,
                    **{"DATABASE_URL": database_url, "SANDBOX_URL": sandbox, **changes},
                ),
                product,
            )
            app.jinja_env.bytecode_cache = _compiled_templates
            stack.callback(close, app)
            return app

        yield make


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application without Stripe."""
    return make_app()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """A real Redis that keeps nothing on disk."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(tmp_path)]
    forgetting = ["--save", "", "--appendonly", "no"]
    with subprocess.Popen([program, *options, *forgetting], stdout=subprocess.DEVNULL) as server:
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()


@pytest.fixture
def runner(app: Flask) -> Any:
    return app.test_cli_runner()


class Shop:
    """The application as a server that people and Stripe can reach, with plans for sale."""

    def __init__(self, app: Flask, url: str, sandbox: str, key: str) -> None:
        self.app, self.url, self.sandbox, self.key = app, url, sandbox, key
        self.visitors: list[Visitor] = []

    def visitor(self) -> Visitor:
        self.visitors.append(Visitor(self.url, self.sandbox))
        return self.visitors[-1]

    def change_plan(self, plan_id: str, **changes: Any) -> Plan:
        """Sell a plan otherwise from now on; the new plan. What is at Stripe stays as it is."""
        sold: Catalogue = self.app.config["CATALOGUE"]
        changed = dataclasses.replace(sold.by_id[plan_id], **changes)
        plans = tuple(changed if plan.id == plan_id else plan for plan in sold.plans)
        self.app.config["CATALOGUE"] = dataclasses.replace(sold, plans=plans)
        return changed

    @property
    def lowest_plan(self) -> str:
        """The id of the lowest plan that is sold by the month."""
        sold: Catalogue = self.app.config["CATALOGUE"]
        return next(plan.id for plan in sold.for_sale if plan.monthly)

    @property
    def price_variables(self) -> dict[str, str]:
        """The prices, for the environment of another process."""
        names = self.app.config["CATALOGUE"].price_variables
        return {f"SANDBOX_{names[key]}": price for key, price in self.price.items()}

    @property
    def price(self) -> dict[tuple[str, str], str]:
        return {key: ids[0] for key, ids in self.app.config["STRIPE_PRICES"].items()}


@pytest.fixture
def shop(make_app: Callable[..., Flask], sandbox: str) -> Iterator[Shop]:
    """A shop that is open: catalogue at Stripe, webhook endpoint, server on loopback."""
    yield from open_shop(make_app, sandbox)


def open_shop(make_app: Callable[..., Flask], sandbox: str, **changes: str) -> Iterator[Shop]:
    port = free_port()
    url = f"http://localhost:{port}"
    key = f"sk_test_{secrets.token_hex(16)}"
    account = {"SANDBOX_STRIPE_API_KEY": key, "APP_URL": url, **changes}
    bare = make_app(**account)
    with bare.app_context():
        variables = provisioning.set_up(prefix="SANDBOX_")
    app = make_app(**account, **variables)
    with serving(app, port):
        shop = Shop(app, url, sandbox, key)
        yield shop
        for visitor in shop.visitors:
            visitor.close()


@contextmanager
def running_shop(product: str, folder: Path) -> Iterator[Shop]:
    """A shop outside of the tests: `shop` with everything that it stands on."""
    stand_in = create_sandbox(str(folder / "sandbox.db"))
    url = f"sqlite:///{folder / 'app.db'}"
    migrate(url, product)
    with ExitStack() as stack:

        def make(**changes: str) -> Flask:
            app = create_app(settings(product, DATABASE_URL=url, **changes), product)
            stack.callback(close, app)
            return app

        sandbox = stack.enter_context(serving(stand_in))
        yield from open_shop(make, sandbox, SANDBOX_URL=sandbox)
    stand_in.extensions["sandbox"].close()


@pytest.fixture
def visitor(shop: Shop) -> Visitor:
    """Somebody with a browser."""
    return shop.visitor()
