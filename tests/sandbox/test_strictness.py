"""What Stripe refuses is refused here: one table of requests, with the parameter at fault."""

from typing import Any

import pytest
import stripe
from flask import Flask

from saas.sandbox.inprocess import BASE_ADDRESS

from .conftest import KEY, Doorbell, Life, Prices, at

NOW = at(2026, 3, 10)
MUCH = "100000000"
SESSION = {"mode": "subscription", "success_url": "https://shop.test/"}
LINE = {"line_items[0][price]": "PRO", "line_items[0][quantity]": "1"}
BUY = {**SESSION, **LINE}
SUBSCRIBE = {"customer": "CUSTOMER", "items[0][price]": "PRO"}
PRICE = {"product": "PRODUCT", "currency": "usd"}
CODE = {"promotion[type]": "coupon", "promotion[coupon]": "COUPON"}
HOOK = {"url": "https://shop.test/"}
ATTENDED = {"metadata[" + f"k{n}" + "]": "v" for n in range(51)}


def many(name: str, count: int, value: str = "x") -> dict[str, str]:
    return {f"{name}[{number}]": value for number in range(count)}


REFUSED = [
    # method, path, form, param, part of the message
    ("POST", "customers", {"name": "x" * 257}, "name", "must be at most 256 characters"),
    ("POST", "customers", {"phone": "1" * 21}, "phone", "must be at most 20 characters"),
    ("POST", "customers", {"description": "x" * 5001}, "description", "at most 5000"),
    ("POST", "customers", {"email": "a@b@c"}, "email", "Invalid email address: a@b@c"),
    ("POST", "customers", {"email": "ada@"}, "email", "Invalid email address"),
    ("POST", "customers", {"email": "ada@example..com"}, "email", "Invalid email address"),
    ("POST", "customers", {"email": "a b@example.com"}, "email", "Invalid email address"),
    ("POST", "customers", {"email": f"{'x' * 510}@b.co"}, "email", "at most 512"),
    ("POST", "customers", {"name": "A\0da"}, "name", "null byte"),
    ("POST", "customers", {"metadata[a]": "\0"}, "metadata[a]", "null byte"),
    ("POST", "customers", {"metadata[" + "k" * 41 + "]": "v"}, "metadata", "up to 40 characters"),
    ("POST", "customers", {"metadata[k]": "v" * 501}, "metadata[k]", "up to 500 characters"),
    ("POST", "customers", ATTENDED, "metadata", "50 keys"),
    ("POST", "customers", {"balance": MUCH}, "balance", "less than or equal to 99999999"),
    ("POST", "customers", many("expand", 1, "a.b.c.d.e"), "expand", "more than 4 levels"),
    ("POST", "customers", many("invoice_settings[custom_fields]", 5), None, ""),
    ("GET", "customers", {"limit": "0"}, "limit", "greater than or equal to 1"),
    ("GET", "customers", {"limit": "101"}, "limit", "less than or equal to 100"),
    ("GET", "customers", {"limit": "ten"}, "limit", "Invalid integer"),
    ("GET", "customers", {"starting_after": "a", "ending_before": "b"}, "starting_after", "one of"),
    ("GET", "customers", {"created[after]": "1"}, "created[after]", "unknown parameter"),
    ("GET", "customers", {"created[gte]": "yesterday"}, "created[gte]", "Invalid integer"),
    ("GET", "events", many("types", 21, "customer.created"), "types", "maximum 20 allowed"),
    ("GET", "events", {"type": "a", "types[]": "b"}, "type", "one of these parameters: type, types"),
    ("GET", "prices", many("lookup_keys", 11), "lookup_keys", "maximum 10 allowed elements"),
    ("GET", "products", {"ids[]": "a", "starting_after": "b"}, "ids", "ids, starting_after"),
    ("POST", "products", {"name": "Pro", "statement_descriptor": "x" * 23}, "statement_descriptor", "22"),
    ("POST", "products", {"name": "Pro", "unit_label": "x" * 13}, "unit_label", "12"),
    ("POST", "products", {"name": "Pro", **many("images", 9)}, "images", "maximum 8 allowed"),
    ("POST", "prices", {**PRICE, "unit_amount": MUCH}, "unit_amount", "99999999"),
    ("POST", "prices", {**PRICE, "unit_amount": "-1"}, "unit_amount", "greater than or equal to 0"),
    ("POST", "prices", {**PRICE, "unit_amount": "1.5"}, "unit_amount", "Invalid integer"),
    ("POST", "prices", {**PRICE, "currency": "zzz", "unit_amount": "1"}, "currency", "Invalid currency"),
    ("POST", "prices", {**PRICE, "unit_amount": "1", "unit_amount_decimal": "1"}, "unit_amount", "one of"),
    ("POST", "prices", {**PRICE, "unit_amount": "1", "lookup_key": "x" * 201}, "lookup_key", "200"),
    ("POST", "prices", {**PRICE, "unit_amount": "1", "currency_options[eur]": "2"}, "currency_options[eur]", "Invalid object"),
    ("POST", "prices", {**PRICE, "unit_amount": "1", "currency_options[eur][unit_amount]": MUCH}, "currency_options[eur][unit_amount]", "99999999"),
    ("POST", "coupons", {"percent_off": "10", "name": "x" * 41}, "name", "40"),
    ("POST", "coupons", {"percent_off": "10", "amount_off": "1", "currency": "usd"}, "percent_off", "one of"),
    ("POST", "coupons", {"percent_off": "101"}, "percent_off", ""),
    ("POST", "coupons", {"percent_off": "10", "max_redemptions": "0"}, "max_redemptions", "greater"),
    ("POST", "coupons", {"percent_off": "10", "redeem_by": str(NOW - 1)}, "redeem_by", "future"),
    ("POST", "promotion_codes", {**CODE, "code": "NO SPACES"}, "code", "letters"),
    ("POST", "promotion_codes", {**CODE, "max_redemptions": "0"}, "max_redemptions", "greater"),
    ("POST", "promotion_codes", {**CODE, "expires_at": str(NOW - 1)}, "expires_at", "future"),
    ("POST", "promotion_codes", {**CODE, "restrictions[minimum_amount]": "0", "restrictions[minimum_amount_currency]": "usd"}, "restrictions[minimum_amount]", "greater"),
    ("POST", "checkout/sessions", {**BUY, "expires_at": str(NOW + 1799)}, "expires_at", "at least 30 minutes"),
    ("POST", "checkout/sessions", {**BUY, "expires_at": str(NOW + 86401)}, "expires_at", "less than 24 hours"),
    ("POST", "checkout/sessions", {**BUY, "client_reference_id": "x" * 201}, "client_reference_id", "200"),
    ("POST", "checkout/sessions", {**BUY, "customer_email": "nobody"}, "customer_email", "Invalid email"),
    ("POST", "checkout/sessions", {**BUY, "customer": "CUSTOMER", "customer_email": "a@b.co"}, "customer", "one of"),
    ("POST", "checkout/sessions", {**BUY, "line_items[0][quantity]": "0"}, "line_items[0][quantity]", "greater"),
    ("POST", "checkout/sessions", {**BUY, "subscription_data[trial_period_days]": "0"}, "subscription_data[trial_period_days]", "greater than or equal to 1"),
    ("POST", "checkout/sessions", {**BUY, "subscription_data[trial_period_days]": "731"}, "subscription_data[trial_period_days]", "less than or equal to 730"),
    ("POST", "checkout/sessions", {**BUY, "subscription_data[trial_end]": str(NOW + 86400)}, "subscription_data[trial_end]", "2 days"),
    ("POST", "checkout/sessions", {**BUY, "subscription_data[metadata][k]": "v" * 501}, "subscription_data[metadata][k]", "500"),
    ("POST", "checkout/sessions", {**BUY, "automatic_tax[enabled]": "true"}, "automatic_tax", "You must have a valid head office address"),
    ("POST", "checkout/sessions", {**BUY, "success_url": "shop.test"}, "success_url", "Not a valid URL"),
    ("POST", "checkout/sessions", {**BUY, "payment_intent_data[description]": "x"}, "payment_intent_data", "subscription"),
    ("POST", "checkout/sessions", {**SESSION, **{f"line_items[{n}][price]": "PRO" for n in range(21)}, **{f"line_items[{n}][quantity]": "1" for n in range(21)}}, "line_items", "20"),
    ("POST", "checkout/sessions", {**BUY, "discounts[0][coupon]": "COUPON", "discounts[1][coupon]": "COUPON"}, "discounts", "maximum 1 allowed"),
    ("POST", "billing_portal/sessions", {"customer": "CUSTOMER", "return_url": "ftp://x"}, "return_url", "Not a valid URL"),
    ("POST", "billing_portal/configurations", {"features[invoice_history][enabled]": "true", "business_profile[headline]": "x" * 61}, "business_profile[headline]", "60"),
    ("POST", "subscriptions", {**SUBSCRIBE, "automatic_tax[enabled]": "true"}, "automatic_tax", "You must have a valid head office address"),
    ("POST", "subscriptions", {**SUBSCRIBE, "items[0][quantity]": "-1"}, "items[0][quantity]", "greater than or equal to 0"),
    ("POST", "subscriptions", {**SUBSCRIBE, "items[0][quantity]": "1000000000"}, "items[0][quantity]", "less than"),
    ("POST", "subscriptions", {**SUBSCRIBE, "description": "x" * 501}, "description", "500"),
    ("POST", "subscriptions", {**SUBSCRIBE, "trial_period_days": "731"}, "trial_period_days", "730"),
    ("POST", "subscriptions", {**SUBSCRIBE, "trial_period_days": "1", "trial_end": "now"}, "trial_end", "one of"),
    ("POST", "subscriptions", {**SUBSCRIBE, "cancel_at": "9", "cancel_at_period_end": "true"}, "cancel_at", "one of"),
    ("POST", "subscriptions", {**SUBSCRIBE, "days_until_due": "3"}, "days_until_due", "send_invoice"),
    ("POST", "subscriptions", {**SUBSCRIBE, "collection_method": "send_invoice"}, "days_until_due", "days_until_due"),
    ("POST", "subscriptions", {"customer": "CUSTOMER", **{f"items[{n}][price]": "PRO" for n in range(21)}}, "items", "maximum 20"),
    ("POST", "subscriptions", {**SUBSCRIBE, "items[1][price]": "PRO"}, "items", "same price"),
    ("GET", "subscriptions", {"status": "dead"}, "status", "must be one of"),
    ("POST", "payment_intents", {"amount": "0", "currency": "usd"}, "amount", "greater than or equal to 1"),
    ("POST", "payment_intents", {"amount": MUCH, "currency": "usd"}, "amount", "less than or equal to"),
    ("POST", "refunds", {"charge": "ch_1", "amount": "0"}, "amount", "greater than or equal to 1"),
    ("POST", "webhook_endpoints", HOOK, "enabled_events", "Missing required param"),
    ("POST", "webhook_endpoints", {**HOOK, "enabled_events[]": "customer.flew"}, "enabled_events[0]", "must be one of"),
    ("POST", "test_helpers/test_clocks", {"frozen_time": str(NOW), "name": "x" * 301}, "name", "300"),
]  # fmt: skip


def named(row: Any) -> str:
    method, path, form, param, _ = row
    return f"{method} {path} {param} {len(str(form))}"


@pytest.fixture
def there(
    api: stripe.StripeClient, prices: Prices, customer: stripe.Customer
) -> dict[str, str]:
    """What the table calls by a name in capitals."""
    coupon = api.v1.coupons.create({"percent_off": 10, "duration": "once"}).id
    return {
        "PRO": prices.pro, "PRODUCT": prices.product, "CUSTOMER": customer.id, "COUPON": coupon,
    }  # fmt: skip


def ask(app: Flask, method: str, path: str, form: dict[str, str], **headers: str) -> Any:
    return app.test_client().open(
        f"/stripe/v1/{path}",
        base_url=BASE_ADDRESS,
        method=method,
        headers={"Authorization": f"Bearer {KEY}", **headers},
        **{"data" if method == "POST" else "query_string": form},
    )


@pytest.mark.parametrize(("method", "path", "form", "param", "words"), REFUSED, ids=map(named, REFUSED))
def test_what_stripe_refuses_is_refused(
    app: Flask, there: dict[str, str], method: str, path: str, form: Any, param: str, words: str
) -> None:
    sent = {name: there.get(value, value) for name, value in form.items()}

    answer = ask(app, method, path, sent)

    assert answer.status_code == 400, answer.text
    error = answer.json["error"]
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]
    assert param is None or error["param"] == param


ACCEPTED = [
    ("customers", {"name": "x" * 256, "metadata[" + "k" * 40 + "]": "v" * 500}),
    ("customers", {f"metadata[k{n}]": "v" for n in range(50)}),
    ("customers", {"email": "ada+tag@sub.example.co.uk"}),
    ("customers", {"email": "ada@bücher.example"}),
    ("prices", {**PRICE, "unit_amount": "99999999"}),
    ("prices", {**PRICE, "unit_amount": "1", "currency_options[eur][unit_amount]": "2"}),
    ("promotion_codes", {**CODE, "code": "FALL-26", "restrictions[first_time_transaction]": "true"}),
    ("promotion_codes", {**CODE, "restrictions[minimum_amount]": "100", "restrictions[minimum_amount_currency]": "usd"}),
    ("checkout/sessions", {**BUY, "expires_at": str(NOW + 1800)}),
    ("checkout/sessions", {**BUY, "expires_at": str(NOW + 86400)}),
    ("subscriptions", {**SUBSCRIBE, "trial_period_days": "730"}),
    ("subscriptions", {**SUBSCRIBE, "items[0][quantity]": "0", "trial_period_days": "1"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "form"), ACCEPTED)
def test_what_stripe_accepts_is_accepted(
    app: Flask, there: dict[str, str], path: str, form: Any
) -> None:
    answer = ask(app, "POST", path, {n: there.get(value, value) for n, value in form.items()})

    assert answer.status_code == 200, answer.text


def test_a_customer_begins_with_a_test_card_as_default(api: stripe.StripeClient) -> None:
    made = api.v1.customers.create(
        {
            "payment_method": "pm_card_visa",
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
        }
    )
    (card,) = api.v1.customers.payment_methods.list(made.id).data

    assert made.invoice_settings
    assert made.invoice_settings.default_payment_method == card.id


def test_lists_leave_out_what_lives_on_a_test_clock(life: Life, prices: Prices) -> None:
    api = life.api
    plain = api.v1.customers.create({"email": "plain@example.com"}).id
    clocked = life.subscribe(prices.pro).id
    lists = api.v1.subscriptions.list

    assert [each.id for each in api.v1.customers.list().data] == [plain]
    assert [each.id for each in api.v1.customers.list({"test_clock": life.clock}).data] == [
        life.customer
    ]
    assert lists().data == []
    assert [each.id for each in lists({"test_clock": life.clock}).data] == [clocked]
    assert [each.id for each in lists({"customer": life.customer}).data] == [clocked]


def test_an_ended_subscription_cannot_be_cancelled_again(life: Life, prices: Prices) -> None:
    gone = life.subscribe(prices.pro).id
    life.api.v1.subscriptions.cancel(gone)

    with pytest.raises(stripe.InvalidRequestError, match="No such subscription") as missing:
        life.api.v1.subscriptions.cancel(gone)

    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")


@pytest.mark.parametrize("version", ["2024-06-20", "2025-03-31.basil", "2026-10-28.preview"])
def test_another_version_is_not_played(app: Flask, version: str) -> None:
    error = ask(app, "GET", "customers", {}, **{"Stripe-Version": version}).json["error"]

    assert error["code"] == "sandbox_unsupported"
    assert version in error["message"]
    assert "2026-10-28.endive" in error["message"]


@pytest.mark.parametrize("version", ["tomorrow", "", "2026"])
def test_an_invalid_version_is_refused_as_at_stripe(app: Flask, version: str) -> None:
    answer = ask(app, "GET", "customers", {}, **{"Stripe-Version": version})

    assert answer.status_code == 400
    assert answer.json["error"]["message"] == f"Invalid Stripe API version: {version}"


def test_the_version_is_ours_without_a_header(app: Flask) -> None:
    assert ask(app, "GET", "customers", {}).headers["Stripe-Version"] == "2026-10-28.endive"


def test_a_refusal_tells_nobody(
    app: Flask, api: stripe.StripeClient, endpoint: object, doorbell: Doorbell
) -> None:
    ask(app, "POST", "customers", {"name": "x" * 257})

    assert doorbell.posted == []
    assert api.v1.customers.list().data == []
