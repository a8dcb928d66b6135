"""The application against stripe-mock, which validates every parameter and stores nothing.

A call of the gateway passes if stripe-mock accepts the request and the gateway can read the
response. Its effects are not tested, since stripe-mock stores nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import requests
from flask import Flask
from saas_sandbox import create_sandbox

from saas import create_app
from saas.auth import accounts
from saas.billing import gateway
from saas.billing.operator import provisioning
from saas.plans import Trial
from tests.harness import stripe_account
from tests.harness.apps import PRODUCT, close, migrate, settings
from tests.harness.servers import free_port, serving
from tests.harness.shop import Shop

URL = "https://app.example.com/"
KEY = "sk_test_0123456789abcdefpeers"
SECRET = "whsec_" + 40 * "0"
EMAIL = "ann@example.com"
BUYER = {"user": "1", "installation": "peers"}

# Calls that a stripe-mock of an older API refuses, and why. All others must work.
UNPLAYED = {
    "create_webhook_endpoint": "names our version of the API, which an older one does not know",
    "next_invoice": "/v1/invoices/create_preview is younger than the API of late 2024",
}


def base_url() -> str | None:
    """Return the URL of stripe-mock: STRIPE_MOCK, without a trailing slash."""
    return os.environ.get("STRIPE_MOCK", "").rstrip("/") or None


def version(url: str) -> str:
    """Return its version; raises `requests.ConnectionError` if it is unreachable."""
    response = requests.get(f"{url}/v1/customers", auth=(KEY, ""), timeout=10)
    return f"stripe-mock {response.headers.get('Stripe-Mock-Version', 'of no version')}"


def check(url: str) -> bool:
    """Try all calls, print the results, and return whether they are as expected."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _shop(url, Path(folder)) as shop,
        shop.app.app_context(),
    ):
        results = [_line(name, run) for name, run in _calls().items()]
        results += [_line(name, partial(run, shop)) for name, run in _WHOLE.items()]
    return all(results)


def _line(name: str, run: Callable[[], object]) -> bool:
    expected = UNPLAYED.get(name)
    complaint = _complaint(run)
    if complaint is None:
        print(f"  works     {name}" + (" (listed as unplayed)" if expected else ""))
        return expected is None
    print(f"  unplayed  {name}: {expected}" if expected else f"  FAILS     {name}: {complaint}")
    return expected is not None


def _complaint(run: Callable[[], object]) -> str | None:
    try:
        run()
    except (gateway.StripeError, AssertionError) as error:
        return " ".join(str(error).split())[:300]
    return None


def _calls() -> dict[str, Callable[[], object]]:
    """Yield every call of the gateway, with ids that stripe-mock accepts."""
    subscription, price = _a_subscription()
    now = datetime.now(UTC)
    return {
        **_customer_calls(price),
        **_subscription_calls(subscription, price, now),
        **_catalogue_calls(price),
        **_account_calls(now),
    }


def _customer_calls(price: str) -> dict[str, Callable[[], object]]:
    return {
        "create_customer": lambda: gateway.create_customer(EMAIL, "Ann", BUYER, "key-1"),
        "change_address": lambda: gateway.update_customer_email("cus_1", EMAIL),
        "metadata_of_customer": lambda: gateway.customer_metadata("cus_1"),
        "attach_card": lambda: gateway.attach_card("cus_1", "pm_card_visa"),
        "delete_customer": lambda: gateway.delete_customer("cus_1"),
        "start_checkout": lambda: gateway.create_checkout_session(
            customer_id="cus_1", price_id=price, metadata=BUYER, key="key-2",
            success_url=URL, cancel_url=URL, trial=Trial(days=14),
        ),
        "try_checkout": lambda: gateway.try_checkout(price, URL),
        "recent_checkouts": lambda: gateway.list_checkout_sessions("cus_1"),
        "expire_checkout": lambda: gateway.expire_checkout_session("cs_test_1"),
        "open_portal": lambda: gateway.create_portal_session("cus_1", return_url=URL),
    }  # fmt: skip


def _subscription_calls(
    subscription: str, price: str, now: datetime
) -> dict[str, Callable[[], object]]:
    return {
        "subscribe": lambda: gateway.subscribe("cus_1", price, BUYER, "key-3"),
        "subscriptions_of": lambda: gateway.list_subscriptions("cus_1"),
        "subscriptions_since": lambda: gateway.list_subscriptions_since("cus_1", now),
        "subscription_page": gateway.subscription_page,
        "next_invoice": lambda: _known(gateway.next_invoice(subscription)),
        "overdue": lambda: gateway.overdue(subscription),
        "cancel": lambda: gateway.cancel(subscription),
        "end_and_refund": lambda: gateway.end_and_refund(subscription, gateway.DUPLICATE, now),
        "refunded": lambda: gateway.refunded(subscription),
        "invoice": lambda: gateway.invoice("in_1"),
        "invoices_of": lambda: gateway.list_invoices("cus_1"),
    }  # fmt: skip


def _catalogue_calls(price: str) -> dict[str, Callable[[], object]]:
    return {
        "price": lambda: gateway.price(price),
        "prices_by_lookup_key": lambda: gateway.prices_by_lookup_key(["solo_monthly"]),
        "create_price": lambda: gateway.create_price("saas_solo", "solo_monthly", 1500, "month"),
        "transfer_lookup_key": lambda: gateway.transfer_lookup_key(price, "solo_monthly"),
        "product": lambda: gateway.product("saas_solo"),
        "ensure_product": lambda: gateway.ensure_product("saas_solo", "Solo", "For teams"),
        "ensure_portal_configuration": lambda: gateway.ensure_portal_configuration(
            "app.example.com", {"saas_solo": [price]}
        ),
        "portals": gateway.portals,
    }


def _account_calls(now: datetime) -> dict[str, Callable[[], object]]:
    hook, events = f"{URL}api/webhooks/stripe", ["invoice.paid"]
    return {
        "create_webhook_endpoint": lambda: gateway.create_webhook_endpoint(hook, events),
        "update_webhook_endpoint": lambda: gateway.update_webhook_endpoint("we_1", events),
        "move_webhook_endpoints": lambda: gateway.move_webhook_endpoints("/endpoint", hook),
        "delete_webhook_endpoint": lambda: gateway.delete_webhook_endpoint("we_1"),
        "endpoints": gateway.endpoints,
        "event": lambda: gateway.event("evt_1"),
        "event_page": lambda: gateway.event_page(["invoice.paid"], now),
        "can_charge": gateway.can_charge,
        "missing_for_tax": gateway.missing_for_tax,
        "api_version": gateway.api_version,
        "seconds_ahead": gateway.seconds_ahead,
    }


def _known(result: object) -> None:
    """Collect refusals that the gateway only logs."""
    assert result, "the next invoice is not known"


def _a_subscription() -> tuple[str, str]:
    """Return the subscription that stripe-mock returns for every id, and its price."""
    subscription = gateway.list_subscriptions("cus_1")[0]
    return subscription.id, subscription.price_ids[0]


def _setup(shop: Shop) -> None:
    _command(shop, "setup", says="STRIPE_SOLO_MONTHLY_PRICE_ID=price_")


def _doctor(shop: Shop) -> None:
    """It exits with 1, since nothing is set up. It only has to read the responses."""
    _command(shop, "doctor", says="Stripe answers at", code=1)


def _verify(shop: Shop) -> None:
    _command(shop, "verify", says="no drift")


def _command(shop: Shop, name: str, *, says: str, code: int = 0) -> None:
    result = shop.app.test_cli_runner().invoke(args=["billing", name])
    assert result.exit_code == code, result.output
    assert says in result.output, result.output


def _purchase(shop: Shop) -> None:
    """Open the payment page, and apply the plan of a webhook's event."""
    visitor = shop.visitor()
    visitor.sign_in(EMAIL)
    visitor.visit("/pricing?interval=monthly")
    having = {"plan": "solo", "interval": "monthly"}
    page = visitor.submit("/billing/checkout", having=having, follow=False)
    assert page.response.headers.get("Location", "").startswith("https://checkout.stripe.com/"), (
        page.text
    )

    customer = accounts.get_by_email(EMAIL).stripe_customer_id
    response = stripe_account.send_event(
        shop, "customer.subscription.created", {"object": "subscription", "customer": customer}
    )
    assert response.status_code == 200, response.text
    assert visitor.request("GET", "/api/user").json()["user"]["subscription"]["plan"] == "solo"


def _deletion(shop: Shop) -> None:
    visitor = shop.visitors[-1]
    visitor.visit("/dashboard/settings")
    page = visitor.submit("/dashboard/settings/delete", confirmation=EMAIL)
    assert "deleted" in page.text, page.text


_WHOLE: dict[str, Callable[[Shop], None]] = {
    "flask billing setup": _setup,
    "flask billing doctor": _doctor,
    "flask billing verify": _verify,
    "a purchase, to the plan": _purchase,
    "a deletion": _deletion,
}


@contextmanager
def _shop(mock: str, folder: Path) -> Iterator[Shop]:
    """Yield the application with a Stripe key, and stripe-mock in place of Stripe.

    The sandbox provides only the mailbox.
    """
    database, port = f"sqlite:///{folder / 'app.db'}", free_port()
    migrate(database)
    sandbox = create_sandbox(str(folder / "sandbox.db"))
    with serving(sandbox) as mailbox:
        env = {
            "DATABASE_URL": database, "SANDBOX_URL": mailbox, "APP_URL": f"http://localhost:{port}",
            "STRIPE_API_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET,
        }  # fmt: skip
        with _application(mock, env) as bare, bare.app_context():
            variables = provisioning.set_up()
            variables["STRIPE_SOLO_MONTHLY_PRICE_ID"] = _a_subscription()[1]
        with _application(mock, {**env, **variables}) as app, serving(app, port) as url:
            shop = Shop(app, url, mailbox, KEY)
            yield shop
            for visitor in shop.visitors:
                visitor.close()
    sandbox.extensions["sandbox"].close()


@contextmanager
def _application(mock: str, env: dict[str, str]) -> Iterator[Flask]:
    app = create_app(settings(**env), PRODUCT)
    app.config["STRIPE_API_BASE"] = mock
    yield app
    close(app)
