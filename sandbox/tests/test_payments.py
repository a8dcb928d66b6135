"""Invoices, refunds and disputes."""

import pytest
import stripe
from flask import Flask

from .conftest import Prices, RecordingEndpoint, Subscriber, at, call_admin_api


def test_a_declined_payment_is_an_error_and_is_recorded(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.pay_with("pm_card_chargeCustomerFail")
    subscription = subscriber.subscribe(prices.pro)

    with pytest.raises(stripe.CardError) as declined:
        subscriber.api.v1.invoices.pay(str(subscription.latest_invoice))

    error = declined.value
    assert (error.http_status, error.code) == (402, "card_declined")
    assert error.error
    assert error.error.decline_code == "generic_decline"
    assert subscriber.invoices()[0].attempt_count == 2
    assert len(subscriber.api.v1.charges.list({"customer": subscriber.customer}).data) == 2


def test_paying_an_invoice_without_a_card_names_what_is_missing(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro, payment_behavior="default_incomplete")
    for method in subscriber.api.v1.payment_methods.list({"customer": subscriber.customer}).data:
        subscriber.api.v1.payment_methods.detach(method.id)

    with pytest.raises(stripe.InvalidRequestError, match="no default_payment_method"):
        subscriber.api.v1.invoices.pay(str(subscription.latest_invoice))


def test_a_paid_invoice_cannot_be_paid_again(subscriber: Subscriber, prices: Prices) -> None:
    subscription = subscriber.subscribe(prices.pro)

    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        subscriber.api.v1.invoices.pay(str(subscription.latest_invoice))


def test_error_if_incomplete_creates_no_subscription(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.pay_with("pm_card_chargeCustomerFail")

    with pytest.raises(stripe.CardError):
        subscriber.subscribe(prices.pro, payment_behavior="error_if_incomplete")

    assert subscriber.api.v1.subscriptions.list({"status": "all"}).data == []


def test_with_default_incomplete_the_client_confirms_the_first_payment(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(
        prices.pro,
        payment_behavior="default_incomplete",
        expand=["latest_invoice.payments.data.payment.payment_intent"],
    )
    assert subscription.status == "incomplete"
    invoice = subscription.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert invoice.payments
    intent = invoice.payments.data[0].payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert intent.client_secret

    subscriber.api.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})

    assert subscriber.status(subscription.id) == "active"


def test_a_refund_returns_the_paid_amount(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    subscriber.subscribe(prices.pro)
    [charge] = subscriber.api.v1.charges.list({"customer": subscriber.customer}).data

    part = subscriber.api.v1.refunds.create({"charge": charge.id, "amount": 500})
    rest = subscriber.api.v1.refunds.create({"payment_intent": str(charge.payment_intent)})

    assert (part.amount, rest.amount, rest.status) == (500, 1000, "succeeded")
    refunded = subscriber.api.v1.charges.retrieve(charge.id, {"expand": ["refunds"]})
    assert refunded.refunded
    assert refunded.refunds
    assert len(refunded.refunds.data) == 2
    assert receiver.types.count("charge.refunded") == 2
    with pytest.raises(stripe.InvalidRequestError) as nothing_left:
        subscriber.api.v1.refunds.create({"charge": charge.id})
    assert nothing_left.value.code == "charge_already_refunded"


def test_a_refund_cannot_exceed_the_payment(subscriber: Subscriber, prices: Prices) -> None:
    subscriber.subscribe(prices.pro)
    [charge] = subscriber.api.v1.charges.list({"customer": subscriber.customer}).data

    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        subscriber.api.v1.refunds.create({"charge": charge.id, "amount": 1501})


def test_a_dispute_causes_an_event(
    app: Flask,
    subscriber: Subscriber,
    prices: Prices,
    endpoint: object,
    receiver: RecordingEndpoint,
) -> None:
    subscriber.subscribe(prices.pro)
    [charge] = subscriber.api.v1.charges.list({"customer": subscriber.customer}).data

    call_admin_api(app, "disputes", charge=charge.id)

    dispute = receiver.last("charge.dispute.created")["data"]["object"]
    assert (dispute["charge"], dispute["amount"]) == (charge.id, 1500)
    assert subscriber.api.v1.disputes.retrieve(dispute["id"]).status == "needs_response"
    assert subscriber.api.v1.charges.retrieve(charge.id).disputed


def test_payments_with_the_dispute_card_are_disputed(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    subscriber.pay_with("pm_card_createDispute")

    assert subscriber.subscribe(prices.pro).status == "active"

    assert "charge.dispute.created" in receiver.types


def test_invoices_are_numbered_per_customer(subscriber: Subscriber, prices: Prices) -> None:
    subscriber.subscribe(prices.pro)
    subscriber.until(at(2026, 4, 10, 14))

    first, second = (str(invoice.number) for invoice in subscriber.invoices())

    assert first.endswith("-0001")
    assert second == first.replace("-0001", "-0002")


def test_an_open_invoice_can_be_voided_or_marked_uncollectible(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.pay_with("pm_card_chargeCustomerFail")
    one, two = subscriber.subscribe(prices.pro), subscriber.subscribe(prices.business)

    voided = subscriber.api.v1.invoices.void_invoice(str(one.latest_invoice))
    given_up = subscriber.api.v1.invoices.mark_uncollectible(str(two.latest_invoice))

    assert (voided.status, given_up.status) == ("void", "uncollectible")
    with pytest.raises(stripe.InvalidRequestError, match="open invoices"):
        subscriber.api.v1.invoices.void_invoice(str(voided.id))


def test_lines_of_an_invoice_are_paginated(subscriber: Subscriber, prices: Prices) -> None:
    subscription = subscriber.subscribe(prices.pro)

    lines = subscriber.api.v1.invoices.line_items.list(
        str(subscription.latest_invoice), {"limit": 1}
    )

    assert [line.amount for line in lines.data] == [1500]


def test_tax_needs_a_head_office(api: stripe.StripeClient) -> None:
    assert api.v1.tax.settings.retrieve().status == "pending"

    settings = api.v1.tax.settings.update(
        {"head_office": {"address": {"country": "US", "state": "CA"}}}
    )

    assert settings.status == "active"
    assert api.v1.tax.settings.retrieve().head_office
