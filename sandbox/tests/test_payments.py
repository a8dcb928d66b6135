"""Invoices, refunds, disputes: what happens to money that does not exist."""

import pytest
import stripe
from flask import Flask

from .conftest import Doorbell, Life, Prices, at, lever


def test_a_declined_payment_is_an_error_and_is_history(life: Life, prices: Prices) -> None:
    life.pay_with("pm_card_chargeCustomerFail")
    subscription = life.subscribe(prices.pro)

    with pytest.raises(stripe.CardError) as declined:
        life.api.v1.invoices.pay(str(subscription.latest_invoice))

    error = declined.value
    assert (error.http_status, error.code) == (402, "card_declined")
    assert error.error
    assert error.error.decline_code == "generic_decline"
    assert life.invoices()[0].attempt_count == 2
    assert len(life.api.v1.charges.list({"customer": life.customer}).data) == 2


def test_an_invoice_without_a_card_says_what_is_missing(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro, payment_behavior="default_incomplete")
    for method in life.api.v1.payment_methods.list({"customer": life.customer}).data:
        life.api.v1.payment_methods.detach(method.id)

    with pytest.raises(stripe.InvalidRequestError, match="no default_payment_method"):
        life.api.v1.invoices.pay(str(subscription.latest_invoice))


def test_a_paid_invoice_is_not_paid_again(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro)

    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        life.api.v1.invoices.pay(str(subscription.latest_invoice))


def test_nothing_is_started_when_the_card_must_work(life: Life, prices: Prices) -> None:
    life.pay_with("pm_card_chargeCustomerFail")

    with pytest.raises(stripe.CardError):
        life.subscribe(prices.pro, payment_behavior="error_if_incomplete")

    assert life.api.v1.subscriptions.list({"status": "all"}).data == []


def test_the_caller_confirms_the_first_payment_when_asked_to(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(
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

    life.api.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})

    assert life.status(subscription.id) == "active"


def test_a_refund_gives_back_what_was_paid(
    life: Life, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    life.subscribe(prices.pro)
    [charge] = life.api.v1.charges.list({"customer": life.customer}).data

    part = life.api.v1.refunds.create({"charge": charge.id, "amount": 500})
    rest = life.api.v1.refunds.create({"payment_intent": str(charge.payment_intent)})

    assert (part.amount, rest.amount, rest.status) == (500, 1000, "succeeded")
    refunded = life.api.v1.charges.retrieve(charge.id, {"expand": ["refunds"]})
    assert refunded.refunded
    assert refunded.refunds
    assert len(refunded.refunds.data) == 2
    assert doorbell.types.count("charge.refunded") == 2
    with pytest.raises(stripe.InvalidRequestError) as nothing_left:
        life.api.v1.refunds.create({"charge": charge.id})
    assert nothing_left.value.code == "charge_already_refunded"


def test_more_than_was_paid_is_not_refunded(life: Life, prices: Prices) -> None:
    life.subscribe(prices.pro)
    [charge] = life.api.v1.charges.list({"customer": life.customer}).data

    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        life.api.v1.refunds.create({"charge": charge.id, "amount": 1501})


def test_a_disputed_charge_is_told(
    app: Flask, life: Life, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    life.subscribe(prices.pro)
    [charge] = life.api.v1.charges.list({"customer": life.customer}).data

    lever(app, "disputes", charge=charge.id)

    dispute = doorbell.last("charge.dispute.created")["data"]["object"]
    assert (dispute["charge"], dispute["amount"]) == (charge.id, 1500)
    assert life.api.v1.disputes.retrieve(dispute["id"]).status == "needs_response"
    assert life.api.v1.charges.retrieve(charge.id).disputed


def test_a_card_for_disputes_is_disputed_by_itself(
    life: Life, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    life.pay_with("pm_card_createDispute")

    assert life.subscribe(prices.pro).status == "active"

    assert "charge.dispute.created" in doorbell.types


def test_invoices_are_numbered_per_customer(life: Life, prices: Prices) -> None:
    life.subscribe(prices.pro)
    life.until(at(2026, 4, 10, 14))

    first, second = (str(invoice.number) for invoice in life.invoices())

    assert first.endswith("-0001")
    assert second == first.replace("-0001", "-0002")


def test_an_open_invoice_is_voided_or_given_up(life: Life, prices: Prices) -> None:
    life.pay_with("pm_card_chargeCustomerFail")
    one, two = life.subscribe(prices.pro), life.subscribe(prices.business)

    voided = life.api.v1.invoices.void_invoice(str(one.latest_invoice))
    given_up = life.api.v1.invoices.mark_uncollectible(str(two.latest_invoice))

    assert (voided.status, given_up.status) == ("void", "uncollectible")
    with pytest.raises(stripe.InvalidRequestError, match="open invoices"):
        life.api.v1.invoices.void_invoice(str(voided.id))


def test_lines_of_an_invoice_are_paged(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro)

    lines = life.api.v1.invoices.line_items.list(str(subscription.latest_invoice), {"limit": 1})

    assert [line.amount for line in lines.data] == [1500]


def test_tax_needs_a_head_office(api: stripe.StripeClient) -> None:
    assert api.v1.tax.settings.retrieve().status == "pending"

    settings = api.v1.tax.settings.update(
        {"head_office": {"address": {"country": "US", "state": "CA"}}}
    )

    assert settings.status == "active"
    assert api.v1.tax.settings.retrieve().head_office
