"""Fixtures: real databases, a real sandbox over HTTP, the application as a server."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import Browser, sync_playwright
from saas_sandbox import create_sandbox

from saas import create_app
from tests.harness import postgres, stripe_account
from tests.harness.apps import PRODUCT, close, migrate, settings
from tests.harness.chromium import CHROMIUM, QUIET
from tests.harness.servers import free_port, serving
from tests.harness.shop import Shop, open_shop
from tests.harness.smtp import smtp_inbox  # noqa: F401 - a fixture
from tests.harness.visitor import Visitor


def pytest_configure() -> None:
    """Let the commands under test receive Ctrl-C, also when the tests run in the background.

    A process that a shell starts in the background ignores SIGINT, and so do its children.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# Slow tests that rarely find what the others do not: crashes, orders of events, random scenarios,
# outages, whole processes. Only `make check` runs them, not `make test`.
THOROUGH = (
    "auth/providers/test_errors.py::test_a_provider_that_", "billing/crashes",
    "billing/test_deadlines.py", "billing/test_event_order.py",
    "billing/test_known_vulnerabilities.py", "billing/test_races.py",
    "billing/test_reconciliation.py", "billing/test_simulation.py",
    "billing/test_stripe_responses.py", "deploy/test_backup.py", "deploy/test_buildpack.py",
    "deploy/test_container.py", "e2e", "jobs/test_workers.py", "look/test_brand.py",
    "og/test_concurrency.py", "security/test_api.py", "security/test_behind_nginx.py",
    "security/test_clocks.py", "security/test_csrf.py", "security/test_fuzz.py",
    "security/test_gunicorn.py", "security/test_limits.py", "security/test_outages.py",
    "security/test_page_cache.py", "security/test_proxies.py", "security/test_races.py",
    "security/test_slow_connections.py", "startup", "test_migrations.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            name = f"{item.path.relative_to(here)}::{item.name}"
            if name.startswith(THOROUGH):
                item.add_marker("thorough")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium for all tests, since Playwright runs once in a process."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the sandbox. All tests share it; every test has its own account in it."""
    sandbox_app = create_sandbox(str(tmp_path_factory.mktemp("sandbox") / "sandbox.db"))
    with serving(sandbox_app) as url:
        yield url
    sandbox_app.extensions["sandbox"].close()


@pytest.fixture(scope="session")
def product_package() -> str:
    """The product under test: the sample one, or in `product/tests` your own."""
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


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database for this test: SQLite, or PostgreSQL when parametrized."""
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


_compiled_templates = FileSystemBytecodeCache()  # compiled once, not for each test


@pytest.fixture
def make_app(
    database_url: str, sandbox: str, product_package: str
) -> Iterator[Callable[..., Flask]]:
    """Return a function that makes applications on this test's database; settings are keywords."""
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
    """A real Redis without persistence."""
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


@pytest.fixture
def shop(make_app: Callable[..., Flask], sandbox: str) -> Iterator[Shop]:
    """An open shop: catalogue in Stripe, webhook endpoint, server on loopback."""
    yield from open_shop(make_app, sandbox)


@pytest.fixture
def quiet_shop(make_app: Callable[..., Flask], sandbox: str) -> Iterator[Shop]:
    """A shop without a webhook endpoint, so that it receives only the events that a test sends."""
    for shop in open_shop(make_app, sandbox):
        stripe_account.remove_endpoints(shop)
        yield shop


@pytest.fixture
def visitor(shop: Shop) -> Visitor:
    """A visitor with a browser."""
    return shop.visitor()
