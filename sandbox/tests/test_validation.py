"""Requests that Stripe refuses are refused, with the name of the invalid parameter."""

from typing import Any

import pytest
import stripe
from flask import Flask
from saas_sandbox.inprocess import BASE_ADDRESS

from .conftest import KEY, Prices, RecordingEndpoint, Subscriber
from .invalid_requests import ACCEPTED, REFUSED


def named(row: Any) -> str:
    method, path, form, param, _ = row
    return f"{method} {path} {param} {len(str(form))}"


@pytest.fixture
def there(api: stripe.StripeClient, prices: Prices, customer: stripe.Customer) -> dict[str, str]:
    """Return the objects for the uppercase names in the table."""
    coupon = api.v1.coupons.create({"percent_off": 10, "duration": "once"}).id
    euros = api.v1.coupons.create({"amount_off": 100, "currency": "eur", "duration": "once"}).id
    retired = monthly(api, api.v1.products.create({"name": "Retired"}).id, "usd")
    api.v1.products.update(str(retired.product), {"active": False})
    book = api.v1.prices.create({"product": prices.product, "currency": "usd", "unit_amount": 2000})
    return {
        "BOOK": book.id,
        "YEN": monthly(api, prices.product, "jpy").id, "EUROS": euros, "RETIRED": retired.id,
        "PRO": prices.pro, "PRODUCT": prices.product, "CUSTOMER": customer.id, "COUPON": coupon,
    }  # fmt: skip


def monthly(api: stripe.StripeClient, product: str, currency: str) -> stripe.Price:
    return api.v1.prices.create(
        {
            "product": product,
            "currency": currency,
            "unit_amount": 1200,
            "recurring": {"interval": "month"},
        }
    )


def ask(app: Flask, method: str, path: str, form: dict[str, str], **headers: str) -> Any:
    return app.test_client().open(
        f"/stripe/v1/{path}",
        base_url=BASE_ADDRESS,
        method=method,
        headers={"Authorization": f"Bearer {KEY}", **headers},
        **{"data" if method == "POST" else "query_string": form},
    )


@pytest.mark.parametrize(
    ("method", "path", "form", "param", "words"), REFUSED, ids=map(named, REFUSED)
)
def test_requests_that_stripe_refuses_are_refused(
    app: Flask, there: dict[str, str], method: str, path: str, form: Any, param: str, words: str
) -> None:
    sent = {name: there.get(value, value) for name, value in form.items()}

    response = ask(app, method, path, sent)

    assert response.status_code == 400, response.text
    error = response.json["error"]
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]
    assert param is None or error["param"] == param


@pytest.mark.parametrize(("path", "form"), ACCEPTED)
def test_requests_that_stripe_accepts_are_accepted(
    app: Flask, there: dict[str, str], path: str, form: Any
) -> None:
    response = ask(app, "POST", path, {n: there.get(value, value) for n, value in form.items()})

    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        ('{"name": "Ada"}', "application/json", "check that your POST content type is"),
        ("name=Ada", "text/plain", "check that your POST content type is"),
        ("name=Ada", None, "check that your POST content type is"),
        ("name=%ff%fe", "application/x-www-form-urlencoded", "not valid UTF-8"),
        (b"name=\xff\xfe", "application/x-www-form-urlencoded", "not valid UTF-8"),
    ],
)
def test_a_body_that_is_not_a_utf_8_form_is_refused(
    body: Any, content_type: str | None, words: str, app: Flask, api: stripe.StripeClient
) -> None:
    response = app.test_client().post(
        "/stripe/v1/customers",
        base_url=BASE_ADDRESS,
        headers={"Authorization": f"Bearer {KEY}"},
        data=body,
        content_type=content_type,
    )

    assert response.status_code == 400
    assert words in response.json["error"]["message"]
    assert api.v1.customers.list().data == []


def test_the_header_stripe_account_gives_access_to_no_other_account(
    app: Flask, api: stripe.StripeClient
) -> None:
    own = api.v1.accounts.retrieve_current().id

    refused = ask(app, "GET", "customers", {}, **{"Stripe-Account": "acct_another"})

    assert (refused.status_code, refused.json["error"]["code"]) == (403, "account_invalid")
    assert KEY not in refused.text
    assert ask(app, "GET", "customers", {}, **{"Stripe-Account": own}).status_code == 200


def test_a_customer_with_a_live_subscription_has_one_currency(
    subscriber: Subscriber, prices: Prices
) -> None:
    api = subscriber.api
    yen = monthly(api, prices.product, "jpy").id
    first = subscriber.subscribe(prices.pro).id
    item = api.v1.subscriptions.retrieve(first)["items"].data[0].id
    second: Any = {"customer": subscriber.customer, "items": [{"price": yen}]}
    page: Any = {
        "mode": "subscription", "customer": subscriber.customer, "success_url": "https://shop.test/",
        "line_items": [{"price": yen, "quantity": 1}],
    }  # fmt: skip

    with pytest.raises(stripe.InvalidRequestError, match="cannot combine currencies"):
        api.v1.subscriptions.create(second)
    with pytest.raises(stripe.InvalidRequestError, match="cannot combine currencies"):
        api.v1.checkout.sessions.create(page)
    with pytest.raises(stripe.InvalidRequestError, match="mismatch in currency field"):
        api.v1.subscriptions.update(first, {"items": [{"id": item, "price": yen}]})

    api.v1.subscriptions.cancel(first)
    assert api.v1.subscriptions.create(second).currency == "jpy"


def test_a_preview_is_for_the_owner_of_the_subscription(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro).id
    stranger = subscriber.api.v1.customers.create().id
    preview = subscriber.api.v1.invoices.create_preview

    with pytest.raises(stripe.InvalidRequestError, match="does not belong to the customer"):
        preview({"subscription": subscription, "customer": stranger})

    assert preview({"subscription": subscription, "customer": subscriber.customer}).amount_due


def test_an_impossible_portal_flow_is_refused(subscriber: Subscriber, prices: Prices) -> None:
    api = subscriber.api
    subscription = subscriber.subscribe(prices.pro).id
    item = api.v1.subscriptions.retrieve(subscription)["items"].data[0].id
    change: Any = {"subscription": subscription, "items": [{"id": item, "price": prices.pro}]}

    def open_at(kind: str, section: Any, updates: bool = True, cancels: bool = True) -> None:
        features: Any = {
            "subscription_update": {
                "enabled": updates,
                "default_allowed_updates": ["price"],
                "products": [{"product": prices.product, "prices": [prices.pro]}],
            },
            "subscription_cancel": {"enabled": cancels},
        }
        configuration = api.v1.billing_portal.configurations.create({"features": features}).id
        flow: Any = {"type": kind, kind: section}
        session: Any = {"customer": subscriber.customer, "configuration": configuration}
        api.v1.billing_portal.sessions.create({**session, "flow_data": flow})

    cancel = {"subscription": subscription}
    with pytest.raises(stripe.InvalidRequestError, match="does not change"):
        open_at("subscription_update_confirm", change)
    with pytest.raises(stripe.InvalidRequestError, match="update feature .* is disabled"):
        open_at("subscription_update_confirm", change, updates=False)
    with pytest.raises(stripe.InvalidRequestError, match="cancel feature .* is disabled"):
        open_at("subscription_cancel", cancel, cancels=False)
    open_at("subscription_cancel", cancel)
    api.v1.subscriptions.update(subscription, {"cancel_at_period_end": True})
    with pytest.raises(stripe.InvalidRequestError, match="already set to be canceled"):
        open_at("subscription_cancel", cancel)
    api.v1.subscriptions.cancel(subscription)
    for kind, section in (("subscription_cancel", cancel), ("subscription_update_confirm", change)):
        with pytest.raises(stripe.InvalidRequestError, match="is canceled"):
            open_at(kind, section)


def test_a_customer_can_be_created_with_a_default_test_card(api: stripe.StripeClient) -> None:
    customer = api.v1.customers.create(
        {
            "payment_method": "pm_card_visa",
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
        }
    )
    (card,) = api.v1.customers.payment_methods.list(customer.id).data

    assert customer.invoice_settings
    assert customer.invoice_settings.default_payment_method == card.id


def test_lists_omit_objects_of_test_clocks(subscriber: Subscriber, prices: Prices) -> None:
    api = subscriber.api
    plain = api.v1.customers.create({"email": "plain@example.com"}).id
    clocked = subscriber.subscribe(prices.pro).id
    lists = api.v1.subscriptions.list

    assert [customer.id for customer in api.v1.customers.list().data] == [plain]
    assert [
        customer.id for customer in api.v1.customers.list({"test_clock": subscriber.clock}).data
    ] == [subscriber.customer]
    assert lists().data == []
    assert [customer.id for customer in lists({"test_clock": subscriber.clock}).data] == [clocked]
    assert [customer.id for customer in lists({"customer": subscriber.customer}).data] == [clocked]


def test_a_canceled_subscription_cannot_be_canceled_again(
    subscriber: Subscriber, prices: Prices
) -> None:
    gone = subscriber.subscribe(prices.pro).id
    subscriber.api.v1.subscriptions.cancel(gone)

    with pytest.raises(stripe.InvalidRequestError, match="No such subscription") as missing:
        subscriber.api.v1.subscriptions.cancel(gone)

    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")


@pytest.mark.parametrize("version", ["2024-06-20", "2025-03-31.basil", "2026-10-28.preview"])
def test_other_api_versions_are_refused(app: Flask, version: str) -> None:
    error = ask(app, "GET", "customers", {}, **{"Stripe-Version": version}).json["error"]

    assert error["code"] == "sandbox_unsupported"
    assert version in error["message"]
    assert "2026-10-28.endive" in error["message"]


@pytest.mark.parametrize("version", ["tomorrow", "", "2026"])
def test_an_invalid_api_version_is_refused_like_stripe_does(app: Flask, version: str) -> None:
    response = ask(app, "GET", "customers", {}, **{"Stripe-Version": version})

    assert response.status_code == 400
    assert response.json["error"]["message"] == f"Invalid Stripe API version: {version}"


def test_without_a_header_the_supported_version_is_used(app: Flask) -> None:
    assert ask(app, "GET", "customers", {}).headers["Stripe-Version"] == "2026-10-28.endive"


def test_a_refused_request_causes_no_event(
    app: Flask, api: stripe.StripeClient, endpoint: object, receiver: RecordingEndpoint
) -> None:
    ask(app, "POST", "customers", {"name": "x" * 257})

    assert receiver.posted == []
    assert api.v1.customers.list().data == []
