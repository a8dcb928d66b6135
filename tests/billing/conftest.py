"""Live shops for the tests of crashes, races and deadlines, started when first needed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from saas.plans import Plan
from tests.harness import postgres, stripe_account
from tests.harness.live_shop import LiveShop, open_live_shop
from tests.harness.sample_product.catalogue import LIFETIME
from tests.harness.shop import Shop, open_shop
from tests.harness.stripe_proxy import ProxiedShop, open_proxied_shop


@pytest.fixture
def proxied_shop(make_app: Callable[..., Flask], tmp_path: Path) -> Iterator[ProxiedShop]:
    """A shop with a proxy between the application and Stripe, which can change responses."""
    yield from open_proxied_shop(make_app, tmp_path)


@pytest.fixture
def slow_shop(make_app: Callable[..., Flask], sandbox: str, tmp_path: Path) -> Iterator[Shop]:
    """A quiet shop without a worker: its emails wait until the test delivers them."""
    for shop in open_shop(make_app, sandbox, JOBS_URL=f"sqlite:///{tmp_path / 'jobs.db'}"):
        stripe_account.remove_endpoints(shop)
        yield shop


@pytest.fixture(scope="session")
def live_on_sqlite(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveShop]:
    folder = tmp_path_factory.mktemp("live")
    shutil.copy(migrated_sqlite, folder / "app.db")
    with open_live_shop(f"sqlite:///{folder / 'app.db'}", folder) as shop:
        yield shop


@pytest.fixture(scope="session")
def live_on_postgres(
    postgres_server: str, migrated_postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveShop]:
    with (
        postgres.database(postgres_server, migrated_postgres) as url,
        open_live_shop(url, tmp_path_factory.mktemp("live")) as shop,
    ):
        yield shop


@pytest.fixture(scope="session")
def live_with_lifetime(
    postgres_server: str, migrated_postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveShop]:
    """A live shop that also sells a plan for one payment."""
    with (
        postgres.database(postgres_server, migrated_postgres) as url,
        open_live_shop(
            url, tmp_path_factory.mktemp("live"), "tests.harness.lifetime_product"
        ) as shop,
    ):
        yield shop


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def live(request: pytest.FixtureRequest) -> LiveShop:
    """A shop of real processes, on each database."""
    shop: LiveShop = request.getfixturevalue(f"live_on_{request.param}")
    return shop


@pytest.fixture
def lifetime(shop: Shop) -> Plan:
    """A plan for one payment, which gives as much as Solo."""
    return shop.sell(LIFETIME)
