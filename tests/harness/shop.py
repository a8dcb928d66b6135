"""A shop: the application as a server for visitors and webhooks, with plans for sale."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from saas_sandbox import create_sandbox

from saas import create_app
from saas.auth import accounts
from saas.auth.models import User
from saas.billing.operator import provisioning
from saas.plans import Catalogue, Plan
from tests.harness.apps import close, migrate, settings
from tests.harness.servers import free_port, serving
from tests.harness.visitor import Visitor


class Shop:
    """An application served at `url`, with its own account in the sandbox."""

    def __init__(self, app: Flask, url: str, sandbox: str, key: str) -> None:
        self.app, self.url, self.sandbox, self.key = app, url, sandbox, key
        self.visitors: list[Visitor] = []

    def visitor(self) -> Visitor:
        self.visitors.append(Visitor(self.url, self.sandbox))
        return self.visitors[-1]

    def user(self, email: str) -> User:
        """Read a user from the database."""
        with self.app.app_context():
            return accounts.get_by_email(email)

    def change_plan(self, plan_id: str, **changes: Any) -> Plan:
        """Change a plan that is for sale, and return it. Stripe's side stays as it is."""
        sold: Catalogue = self.app.config["CATALOGUE"]
        changed = dataclasses.replace(sold.by_id[plan_id], **changes)
        plans = tuple(changed if plan.id == plan_id else plan for plan in sold.plans)
        self.app.config["CATALOGUE"] = dataclasses.replace(sold, plans=plans)
        return changed

    def sell(self, plan: Plan) -> Plan:
        """Add a plan to the catalogue, create its prices at Stripe, and return it."""
        sell(self.app, plan)
        return plan

    @property
    def lowest_plan(self) -> str:
        """Return the id of the lowest plan with a monthly price."""
        sold: Catalogue = self.app.config["CATALOGUE"]
        return next(plan.id for plan in sold.for_sale if plan.monthly)

    @property
    def price_variables(self) -> dict[str, str]:
        """Return the price ids, for the environment of another process."""
        names = self.app.config["CATALOGUE"].price_variables
        return {f"SANDBOX_{names[key]}": price for key, price in self.price.items()}

    @property
    def price(self) -> dict[tuple[str, str], str]:
        return {key: ids[0] for key, ids in self.app.config["STRIPE_PRICES"].items()}


def sell(app: Flask, plan: Plan) -> None:
    """Add a plan to the catalogue of a running application, and create its prices at Stripe."""
    sold: Catalogue = app.config["CATALOGUE"]
    app.config["CATALOGUE"] = dataclasses.replace(sold, plans=(*sold.plans, plan))
    with app.app_context():
        prices = provisioning.ensure_prices()
    app.config["STRIPE_PRICES"] = {key: (price.id,) for key, price in prices.items()}


def open_shop(make_app: Callable[..., Flask], sandbox: str, **changes: str) -> Iterator[Shop]:
    """Set up catalogue and webhook endpoint at Stripe, and serve the application."""
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
    """Open a shop outside of the tests, with its own sandbox and database."""
    sandbox_app = create_sandbox(str(folder / "sandbox.db"))
    url = f"sqlite:///{folder / 'app.db'}"
    migrate(url, product)
    with ExitStack() as stack:

        def make(**changes: str) -> Flask:
            app = create_app(settings(product, DATABASE_URL=url, **changes), product)
            stack.callback(close, app)
            return app

        sandbox = stack.enter_context(serving(sandbox_app))
        yield from open_shop(make, sandbox, SANDBOX_URL=sandbox)
    sandbox_app.extensions["sandbox"].close()
