"""The sandbox compared with the official SDK and Stripe's documentation.

Every response is compared with the SDK's classes and with Stripe's own example objects, and every
transition with the sentence of Stripe's documentation that describes it.
"""

import json
import os
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
import stripe
from flask import Flask
from saas_sandbox.stripe.api.operations import OPERATIONS
from saas_sandbox.stripe.engine import lifecycle
from saas_sandbox.stripe.engine.params import get_fields

from .conftest import CARD_NUMBER, Browser, Prices, Subscriber, call_admin_api, item_of

SDK = Path(stripe.__file__).parent
FIXTURES = Path(os.environ.get("STRIPE_FIXTURES", "../shared/stripe/fixtures3.json"))

CLASSES: dict[str, type] = {
    "account": stripe.Account,
    "balance_transaction": stripe.BalanceTransaction,
    "billing_portal.configuration": stripe.billing_portal.Configuration,
    "billing_portal.session": stripe.billing_portal.Session,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "coupon": stripe.Coupon,
    "customer": stripe.Customer,
    "discount": stripe.Discount,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "invoiceitem": stripe.InvoiceItem,
    "item": stripe.LineItem,
    "line_item": stripe.InvoiceLineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "price": stripe.Price,
    "product": stripe.Product,
    "promotion_code": stripe.PromotionCode,
    "refund": stripe.Refund,
    "setup_intent": stripe.SetupIntent,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "subscription_schedule": stripe.SubscriptionSchedule,
    "tax.settings": stripe.tax.Settings,
    "test_helpers.test_clock": stripe.test_helpers.TestClock,
    "webhook_endpoint": stripe.WebhookEndpoint,
}


@pytest.fixture
def examples(
    app: Flask, api: stripe.StripeClient, subscriber: Subscriber, prices: Prices, browser: Browser,
    endpoint: stripe.WebhookEndpoint,
) -> dict[str, list[dict[str, Any]]]:  # fmt: skip
    """Return at least one of every object that the API returns, by kind."""
    trial = subscribe_in_every_way(api, subscriber, prices)
    paid = check_out(api, subscriber, prices, browser)
    charge = api.v1.charges.list({"customer": subscriber.customer}).data[-1]
    api.v1.refunds.create({"charge": charge.id, "amount": 1})
    call_admin_api(app, "disputes", charge=charge.id)
    api.v1.subscription_schedules.create({"from_subscription": trial.id})
    api.v1.billing_portal.sessions.create({"customer": subscriber.customer})
    flow: Any = {"type": "subscription_cancel", "subscription_cancel": {"subscription": trial.id}}
    api.v1.billing_portal.sessions.create({"customer": subscriber.customer, "flow_data": flow})

    store = app.extensions["sandbox"].store
    rows = store.fetch_all("SELECT type, body FROM objects WHERE type != 'event'")
    seen: list[dict[str, Any]] = [json.loads(row["body"]) for row in rows]
    seen += [event.to_dict(for_json=True) for event in api.v1.events.list().data]
    seen.append(api.v1.accounts.retrieve_current().to_dict(for_json=True))
    seen.append(api.v1.tax.settings.retrieve().to_dict(for_json=True))
    items = api.v1.checkout.sessions.line_items.list(paid.id).data
    seen += [item.to_dict(for_json=True) for item in items]
    return by_kind(seen)


def subscribe_in_every_way(
    api: stripe.StripeClient, subscriber: Subscriber, prices: Prices
) -> stripe.Subscription:
    """Subscribe with a discount, a trial, a proration, a cancellation and failing cards.

    Returns the trial.
    """
    coupon = api.v1.coupons.create(
        {"percent_off": 10, "duration": "repeating", "duration_in_months": 3}
    )
    code = api.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    plain = subscriber.subscribe(prices.pro, discounts=[{"promotion_code": code.id}])
    trial = subscriber.subscribe(prices.pro, trial_period_days=10)
    api.v1.subscriptions.update(
        plain.id,
        {"items": [{"id": item_of(plain).id, "price": prices.business}],
         "proration_behavior": "always_invoice"},
    )  # fmt: skip
    canceled = subscriber.subscribe(prices.pro_yearly)
    api.v1.subscriptions.cancel(canceled.id)
    subscriber.pay_with("pm_card_chargeCustomerFail")
    subscriber.subscribe(prices.pro)
    subscriber.pay_with("pm_usBankAccount")
    subscriber.subscribe(prices.pro)
    return trial


def check_out(
    api: stripe.StripeClient, subscriber: Subscriber, prices: Prices, browser: Browser
) -> stripe.checkout.Session:
    """Pay on a checkout page, and open another one to save a card."""
    common: Any = {"customer": subscriber.customer, "success_url": "https://shop.test/"}
    paid = api.v1.checkout.sessions.create(
        {"mode": "subscription", "line_items": [{"price": prices.pro, "quantity": 1}], **common}
    )
    api.v1.checkout.sessions.create({"mode": "setup", "currency": "usd", **common})
    browser.post(str(paid.url), number=CARD_NUMBER)
    return paid


def by_kind(objects: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    result: dict[str, list[dict[str, Any]]] = {}
    for one in objects:
        for inner in every_object(one):
            result.setdefault(inner["object"], []).append(inner)
    return result


def every_object(value: Any) -> Iterator[dict[str, Any]]:
    """Yield an object and the objects inside it, without the sandbox's internal data."""
    if isinstance(value, list):
        for entry in value:
            yield from every_object(entry)
    if isinstance(value, dict):
        kind = value.get("object")
        if isinstance(kind, str) and kind in CLASSES and not value.get("deleted"):
            yield {name: inner for name, inner in value.items() if name != "_internal"}
        for name, inner in value.items():
            if name not in ("_internal", "previous_attributes"):
                yield from every_object(inner)


def test_every_kind_of_object_is_covered(examples: dict[str, list[dict[str, Any]]]) -> None:
    assert set(examples) == set(CLASSES)


def test_objects_have_only_fields_and_types_of_the_sdk(
    examples: dict[str, list[dict[str, Any]]],
) -> None:
    wrong = {
        complaint
        for kind, objects in examples.items()
        for one in objects
        for complaint in misfits(CLASSES[kind], one, kind)
    }

    assert not wrong


def test_objects_have_the_fields_of_stripe_s_examples(
    examples: dict[str, list[dict[str, Any]]],
) -> None:
    if not FIXTURES.exists():
        pytest.skip("Stripe's example resources are not on this machine (STRIPE_FIXTURES)")
    published = json.loads(FIXTURES.read_text())["resources"]

    missing = {
        f"{kind}.{name}"
        for kind, objects in examples.items()
        for name in set(published[kind]) & set(CLASSES[kind].__annotations__) - OPTIONAL
        for one in objects
        if name not in one and name not in METHODS - {one.get("type")}
    }

    assert not missing


def test_fields_have_the_types_of_stripe_s_examples(
    examples: dict[str, list[dict[str, Any]]],
) -> None:
    if not FIXTURES.exists():
        pytest.skip("Stripe's example resources are not on this machine (STRIPE_FIXTURES)")
    published = json.loads(FIXTURES.read_text())["resources"]

    different = {
        f"{kind}.{name}: {json_type(value)} here, {json_type(published[kind][name])} in Stripe"
        for kind, objects in examples.items()
        for one in objects
        for name, value in one.items()
        if name in published[kind] and not alike(value, published[kind][name])
    }

    assert not different


def alike(ours: Any, theirs: Any) -> bool:
    """Return whether the types are equal; null matches all, and an id may replace its object."""
    if ours is None or theirs is None:
        return True
    expanded = {json_type(ours), json_type(theirs)} == {"string", "object"}
    return json_type(ours) == json_type(theirs) or expanded


def json_type(value: Any) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")


# In Stripe's examples because they are includable or belong to unsupported features.
METHODS = {"card", "us_bank_account"}  # only for the payment method's own type
OPTIONAL = {"billing_thresholds", "managed_payments", "refunds", "source"}


def misfits(shape: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    """Return the differences of an object from the SDK's class."""
    hints = annotations(shape)
    for name in value.keys() - hints.keys() - {"total_count"}:
        yield f"{path}.{name} is unknown"
    for name, hint in hints.items():
        if name in value:
            yield from misfit(hint, value[name], f"{path}.{name}")
        elif NoneType not in get_args(hint) and name != "OBJECT_NAME":
            yield f"{path}.{name} is missing"


def misfit(hint: Any, value: Any, path: str) -> Iterator[str]:
    if get_origin(hint) is Union:
        complaints = [list(misfit(arm, value, path)) for arm in get_args(hint)]
        yield from min(complaints, key=len)
    elif hint is NoneType or value is None:
        yield from [] if hint is NoneType and value is None else [f"{path} is {value!r}"]
    elif get_origin(hint) is Literal:
        yield from [] if value in get_args(hint) else [f"{path} is {value!r}"]
    elif get_origin(hint) is list:
        yield from in_list(get_args(hint)[0], value, path)
    else:
        yield from plain_misfit(hint, value, path)


def in_list(hint: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path} is no list"
        return
    for entry in value:
        yield from misfit(hint, entry, f"{path}[]")


def plain_misfit(hint: Any, value: Any, path: str) -> Iterator[str]:
    name = getattr(hint, "__name__", str(hint))
    expected = {"str": str, "int": int, "bool": bool, "float": (int, float), "Decimal": str}
    if name in expected:
        wrong_bool = isinstance(value, bool) and name != "bool"
        if wrong_bool or not isinstance(value, expected[name]):  # type: ignore[arg-type]
            yield f"{path} is {value!r}"
    elif not isinstance(value, dict):
        yield f"{path} is {value!r}"
    elif hasattr(hint, "__annotations__") and get_origin(hint) is None and annotations(hint):
        yield from misfits(hint, value, path)


def annotations(shape: Any) -> dict[str, Any]:
    names = getattr(shape, "__annotations__", {})
    return {n: hint for n, hint in names.items() if get_origin(hint) is not typing.ClassVar}


@pytest.mark.parametrize(
    "transition", lifecycle.TRANSITIONS, ids=lambda t: f"{t.before} to {t.after}"
)
def test_every_transition_quotes_stripe_s_documentation(
    transition: lifecycle.Transition, documentation: str
) -> None:
    assert squeezed(transition.rule) in documentation


@pytest.fixture(scope="module")
def documentation() -> str:
    """Return the SDK's docstrings about subscriptions."""
    files = [*SDK.glob("_subscription*.py"), *SDK.glob("params/_subscription*.py")]
    return squeezed(" ".join(file.read_text() for file in files))


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_the_table_contains_every_status_of_the_sdk() -> None:
    status = typing.get_args(typing.get_args(stripe.Subscription.__annotations__["status"])[0])

    reached = {t.after for t in lifecycle.TRANSITIONS} | {"incomplete", "trialing", "active"}

    assert reached == set(status)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.method} {o.path}")
def test_every_operation_accepts_the_parameters_of_the_sdk(operation: Any) -> None:
    assert operation.shape.__module__.startswith("stripe.params.")
    assert "api_key" not in get_fields(operation.shape)
