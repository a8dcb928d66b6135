"""Conventions of the API: keys, errors, parameters, idempotency, pagination, expansion."""

from typing import Any

import pytest
import stripe
from flask import Flask
from saas_sandbox.inprocess import client

from .conftest import Prices, RecordingEndpoint, Subscriber

OTHER = "sk_test_fedcba9876543210"


def test_each_key_has_its_own_account(app: Flask, api: stripe.StripeClient) -> None:
    mine = api.v1.customers.create({"email": "ada@example.com"})
    stranger = client(app, OTHER)

    assert stranger.v1.customers.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        stranger.v1.customers.retrieve(mine.id)
    assert stranger.v1.accounts.retrieve_current().id != api.v1.accounts.retrieve_current().id


@pytest.mark.parametrize("key", ["sk_live_0123456789abcdef", "sk_test_short", "nonsense", "é"])
def test_other_keys_are_refused(app: Flask, key: str) -> None:
    response = app.test_client().get(
        "/stripe/v1/customers", headers={"Authorization": f"Bearer {key}".encode().decode("latin1")}
    )

    assert response.status_code == 401
    assert response.json["error"]["message"].startswith("Invalid API Key provided")
    assert response.headers["Request-Id"].startswith("req_")


def test_a_missing_key_is_explained(app: Flask) -> None:
    response = app.test_client().get("/stripe/v1/customers")

    assert response.status_code == 401
    assert "You did not provide an API key" in response.json["error"]["message"]


def test_the_sdk_gets_an_authentication_error(app: Flask) -> None:
    with pytest.raises(stripe.AuthenticationError) as refused:
        client(app, "sk_live_0123456789abcdef").v1.customers.list()

    assert refused.value.http_status == 401
    assert refused.value.request_id


def test_an_unknown_id_is_resource_missing(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        api.v1.customers.retrieve("cus_unknown")

    error = missing.value
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "id")
    assert "No such customer: 'cus_unknown'" in str(error)
    assert error.request_id
    assert error.error
    assert error.error.type == "invalid_request_error"


def test_a_misspelled_parameter_is_refused(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        api.v1.customers.create({"emial": "ada@example.com"})

    assert (unknown.value.code, unknown.value.param) == ("parameter_unknown", "emial")
    assert "Did you mean email?" in str(unknown.value)


def test_a_misspelled_nested_parameter_is_refused(
    api: stripe.StripeClient, customer: stripe.Customer, prices: Prices
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        api.v1.subscriptions.create({"customer": customer.id, "items": [{"prise": prices.pro}]})

    assert unknown.value.param == "items[0][prise]"


def test_a_missing_parameter_is_named(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        api.v1.products.create({})

    assert (missing.value.code, missing.value.param) == ("parameter_missing", "name")


@pytest.mark.parametrize(
    ("path", "form", "param"),
    [
        ("prices", {"currency": "usd", "unit_amount": "many", "product": "x"}, "unit_amount"),
        ("prices", {"currency": "usd", "unit_amount": "9" * 30, "product": "x"}, "unit_amount"),
        ("customers", {"name": ""}, "name"),
        ("customers", {"tax_exempt": "perhaps"}, "tax_exempt"),
        ("customers", {"address": "here"}, "address"),
        ("customers", {"metadata": "x"}, "metadata"),
        ("customers", {"name[first]": "Ada"}, "name"),
        ("customers", {"preferred_locales": "en"}, "preferred_locales"),
        ("coupons", {"percent_off": "NaN"}, "percent_off"),
        ("checkout/sessions", {"mode": "robbery"}, "mode"),
        ("webhook_endpoints", {"url": "ftp://x", "enabled_events[]": "*"}, "url"),
        ("webhook_endpoints", {"url": "http://[", "enabled_events[]": "*"}, "url"),
        ("test_helpers/test_clocks", {"frozen_time": "-5"}, "frozen_time"),
        ("test_helpers/test_clocks", {"frozen_time": "99999999999999"}, "frozen_time"),
    ],
)
def test_a_wrong_value_is_refused_with_the_parameter_s_name(
    app: Flask, path: str, form: dict[str, str], param: str
) -> None:
    response = app.test_client().post(
        f"/stripe/v1/{path}", data=form, headers={"Authorization": f"Bearer {OTHER}"}
    )

    assert response.status_code == 400
    assert response.json["error"]["param"] == param


@pytest.mark.parametrize(
    "form",
    [{"a]b[": "1"}, {"a" + "[x]" * 50: "1"}, {"a": "1", "a[b]": "2"}, {"": "1"}],
    ids=["brackets", "deep", "both", "no name"],
)
def test_a_malformed_body_is_refused(app: Flask, form: dict[str, str]) -> None:
    response = app.test_client().post(
        "/stripe/v1/customers", data=form, headers={"Authorization": f"Bearer {OTHER}"}
    )

    assert response.status_code == 400


def test_an_unsupported_parameter_is_refused(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="does not support it") as unplayed:
        api.v1.customers.create({"source": "tok_visa", "email": "a@b.co"})

    assert unplayed.value.code == "sandbox_unsupported"
    assert api.v1.customers.list().data == []


def test_an_unknown_path_is_404_with_stripe_s_message(app: Flask) -> None:
    response = app.test_client().get(
        "/stripe/v1/rockets", headers={"Authorization": f"Bearer {OTHER}"}
    )

    assert response.status_code == 404
    assert "Unrecognized request URL (GET: /v1/rockets)" in response.json["error"]["message"]


def test_the_same_idempotency_key_gets_the_same_response(
    api: stripe.StripeClient, endpoint: object, receiver: RecordingEndpoint
) -> None:
    once = api.v1.customers.create({"email": "a@b.co"}, {"idempotency_key": "k1"})
    again = api.v1.customers.create({"email": "a@b.co"}, {"idempotency_key": "k1"})

    assert once.id == again.id
    assert receiver.types == ["customer.created"]
    assert receiver.posted[0]["request"]["idempotency_key"] == "k1"


def test_an_idempotency_key_with_other_parameters_is_an_error(api: stripe.StripeClient) -> None:
    api.v1.customers.create({"email": "a@b.co"}, {"idempotency_key": "k1"})

    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        api.v1.customers.create({"email": "other@b.co"}, {"idempotency_key": "k1"})


def test_a_decline_is_stored_under_its_key(
    api: stripe.StripeClient, customer: stripe.Customer
) -> None:
    method = api.v1.payment_methods.attach(
        "pm_card_chargeCustomerFail", {"customer": customer.id}
    ).id

    def pay() -> stripe.CardError:
        with pytest.raises(stripe.CardError) as declined:
            api.v1.payment_intents.create(
                {
                    "amount": 500,
                    "currency": "usd",
                    "customer": customer.id,
                    "payment_method": method,
                    "confirm": True,
                },
                {"idempotency_key": "pay-once"},
            )
        return declined.value

    assert str(pay().error) == str(pay().error)
    assert len(api.v1.charges.list().data) == 1


def test_a_declined_subscription_is_rolled_back_and_stored_under_its_key(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.pay_with("pm_card_chargeCustomerFail")

    def start() -> str:
        with pytest.raises(stripe.CardError) as declined:
            subscriber.api.v1.subscriptions.create(
                {
                    "customer": subscriber.customer,
                    "items": [{"price": prices.pro}],
                    "payment_behavior": "error_if_incomplete",
                },
                {"idempotency_key": "start-once"},
            )
        return str(declined.value.headers)

    start()
    subscriber.pay_with("pm_card_visa")

    assert "Idempotent-Replayed" in start()
    assert subscriber.api.v1.subscriptions.list({"status": "all"}).data == []


def test_a_refused_request_does_not_use_up_its_key(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        api.v1.customers.create({"email": "wrong"}, {"idempotency_key": "k1"})

    assert api.v1.customers.create({"email": "right@b.co"}, {"idempotency_key": "k1"}).id


def test_lists_are_paginated_newest_first(api: stripe.StripeClient) -> None:
    ids = [api.v1.customers.create({}).id for _ in range(5)][::-1]

    first = api.v1.customers.list({"limit": 2})
    second = api.v1.customers.list({"limit": 2, "starting_after": first.data[-1].id})
    back = api.v1.customers.list({"limit": 2, "ending_before": second.data[0].id})

    assert [c.id for c in first.data] == ids[:2]
    assert first.has_more
    assert [c.id for c in second.data] == ids[2:4]
    assert [c.id for c in back.data] == ids[:2]
    assert not api.v1.customers.list({"limit": 5}).has_more


def test_the_sdk_paginates_automatically(api: stripe.StripeClient) -> None:
    ids = [api.v1.customers.create({}).id for _ in range(7)]

    result = [c.id for c in api.v1.customers.list({"limit": 3}).auto_paging_iter()]

    assert result == ids[::-1]


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_a_page_has_1_to_100_rows(api: stripe.StripeClient, limit: int) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="This value must be"):
        api.v1.customers.list({"limit": limit})


def test_lists_are_filtered_by_creation(api: stripe.StripeClient, fake_time: Any) -> None:
    api.v1.customers.create({})
    fake_time.time += 100
    late = api.v1.customers.create({})

    customers = api.v1.customers.list({"created": {"gte": int(fake_time.time)}})

    assert [c.id for c in customers.data] == [late.id]


def test_ids_are_expanded_on_request(subscriber: Subscriber, prices: Prices) -> None:
    subscription = subscriber.subscribe(
        prices.pro,
        expand=["customer", "latest_invoice.payments.data.payment.payment_intent"],
    )

    assert isinstance(subscription.customer, stripe.Customer)
    invoice = subscription.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert invoice.payments
    intent = invoice.payments.data[0].payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert intent.status == "succeeded"


def test_lists_are_expanded_through_data(subscriber: Subscriber, prices: Prices) -> None:
    subscriber.subscribe(prices.pro)

    subscriptions = subscriber.api.v1.subscriptions.list(
        {"customer": subscriber.customer, "expand": ["data.customer"]}
    )

    assert isinstance(subscriptions.data[0].customer, stripe.Customer)


@pytest.mark.parametrize("path", ["nothing", "email", "a.b.c.d.e", "metadata", "", "."])
def test_a_field_that_cannot_be_expanded_is_refused(
    api: stripe.StripeClient, customer: stripe.Customer, path: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        api.v1.customers.retrieve(customer.id, {"expand": [path]})


def test_a_payment_that_requires_authentication_is_reported(
    api: stripe.StripeClient, customer: stripe.Customer
) -> None:
    method = api.v1.payment_methods.attach(
        "pm_card_authenticationRequired", {"customer": customer.id}
    )

    with pytest.raises(stripe.CardError) as refused:
        api.v1.payment_intents.create(
            {
                "amount": 500,
                "currency": "usd",
                "customer": customer.id,
                "payment_method": method.id,
                "off_session": True,
                "confirm": True,
            }
        )

    assert refused.value.code == "authentication_required"


def test_subscriptions_are_listed_by_status(subscriber: Subscriber, prices: Prices) -> None:
    gone = subscriber.subscribe(prices.pro).id
    subscriber.api.v1.subscriptions.cancel(gone)
    here = subscriber.subscribe(prices.business).id

    def listed(**params: Any) -> list[str]:
        subscriptions = subscriber.api.v1.subscriptions.list(
            {"customer": subscriber.customer, **params}
        )
        return [subscription.id for subscription in subscriptions.data]

    assert listed() == [here]
    assert listed(status="all") == [here, gone]
    assert listed(status="canceled") == [gone]
    assert listed(status="ended") == [gone]
    assert listed(price=prices.business) == [here]
