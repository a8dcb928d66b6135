"""What Stripe refuses is refused here: one table of requests, with the parameter at fault."""

from typing import Any

import pytest
import stripe
from flask import Flask

from saas.sandbox.inprocess import BASE_ADDRESS

from .conftest import KEY, Doorbell, Life, Prices
from .refusals import ACCEPTED, REFUSED


def named(row: Any) -> str:
    method, path, form, param, _ = row
    return f"{method} {path} {param} {len(str(form))}"


@pytest.fixture
def there(api: stripe.StripeClient, prices: Prices, customer: stripe.Customer) -> dict[str, str]:
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


@pytest.mark.parametrize(
    ("method", "path", "form", "param", "words"), REFUSED, ids=map(named, REFUSED)
)
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
