"""Unusual items, prices and discounts lead to the right amount or to none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from saas.auth.models import User
from tests.billing.states.actions import (
    at_stripe,
    deliver_update,
    item,
    items,
    new_event,
    plan,
    stored,
    stripe_listing,
    subscription_body,
    subscription_of,
)
from tests.harness.live_shop import LiveShop, deliver_event

MONTHLY = {"interval": "month", "interval_count": 1, "usage_type": "licensed"}


def priced(shop: LiveShop, ann: User, **price: Any) -> dict[str, Any]:
    """Return Ann's item with these fields of its price."""
    own = item(shop, ann, shop.price["solo", "monthly"])
    return {**own, "price": {**own["price"], **price}}


def extra(shop: LiveShop, ann: User, quantity: int = 1, **price: Any) -> dict[str, Any]:
    """Return an additional item of another product."""
    result = priced(shop, ann, id="price_extra", product="prod_extra", **price)
    return {**result, "id": "si_extra", "quantity": quantity}


def discount(shop: LiveShop, **terms: Any) -> dict[str, Any]:
    """Return a discount of an existing coupon, as Stripe returns it."""
    ends, scope = terms.pop("ends", None), terms.pop("applies_to", None)
    values = {"duration": "forever", **terms}
    coupon = at_stripe(shop).coupons.create(values).to_dict(for_json=True)
    if scope:
        coupon["applies_to"] = {"products": scope}
    return {
        "id": "di_1", "object": "discount", "start": 1, "end": ends, "promotion_code": None,
        "source": {"type": "coupon", "coupon": coupon},
    }  # fmt: skip


def amount(shop: LiveShop, ann: User, **changes: Any) -> int | None:
    """Sync Ann's subscription with these changes, and return the recurring amount."""
    with stripe_listing(shop, ann, subscription_body(shop, ann, **changes)):
        assert deliver_update(shop, ann) == "applied"
    result = stored(shop, ann)
    assert plan(shop, ann) == "solo"
    assert result.stripe_recurring
    message: int | None = result.stripe_recurring["amount"]
    return message


@pytest.mark.parametrize(
    ("price", "quantity", "expected"),
    [
        ({"unit_amount": None, "unit_amount_decimal": "0.5"}, 1001, 501),
        ({"unit_amount": None, "unit_amount_decimal": None, "billing_scheme": "tiered"}, 3, None),
        ({"recurring": {**MONTHLY, "usage_type": "metered"}}, 1, None),
        ({"transform_quantity": {"divide_by": 10, "round": "up"}}, 11, 3000),
        ({"transform_quantity": {"divide_by": 10, "round": "down"}}, 19, 1500),
        ({"currency": "usd"}, 1, None),
        ({}, 0, 0),
        ({}, None, None),
    ],
    ids=[
    "fraction", "tiers", "metered", "package rounded up", "package rounded down",
    "other currency", "quantity 0", "no quantity",
    ],
)  # fmt: skip
def test_prices_of_any_kind_give_the_right_amount_or_none(
    shop: LiveShop, ann: User, price: Any, quantity: int | None, expected: int | None
) -> None:
    own = {**priced(shop, ann, **price), "quantity": quantity}

    assert amount(shop, ann, items=items(own)) == expected


def test_items_with_different_intervals_have_no_single_amount(shop: LiveShop, ann: User) -> None:
    yearly = {**MONTHLY, "interval": "year"}
    monthly = extra(shop, ann, 2, unit_amount=500, unit_amount_decimal="500")
    own = priced(shop, ann)

    assert amount(shop, ann, items=items(own, monthly)) == 2500
    result = items(own, extra(shop, ann, recurring=yearly))
    assert amount(shop, ann, items=result) is None


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"percent_off": 50}, 1250),
        ({"amount_off": 700, "currency": "eur"}, 1800),
        ({"amount_off": 700, "currency": "usd"}, None),
        ({"percent_off": 50, "ends": 1}, 2500),
    ],
    ids=["percent", "amount", "other currency", "expired"],
)
def test_a_discount_on_several_items(
    shop: LiveShop, ann: User, terms: Any, expected: int | None
) -> None:
    result = items(
        priced(shop, ann), extra(shop, ann, 2, unit_amount=500, unit_amount_decimal="500")
    )

    assert amount(shop, ann, items=result, discounts=[discount(shop, **terms)]) == expected


def test_a_discount_on_one_item_does_not_change_the_other(shop: LiveShop, ann: User) -> None:
    own = {**priced(shop, ann), "discounts": [discount(shop, percent_off=50)]}
    result = items(own, extra(shop, ann, unit_amount=500, unit_amount_decimal="500"))

    assert amount(shop, ann, items=result) == 1250


def test_a_deleted_coupon_counts_when_it_can_only_apply_to_one_item(
    shop: LiveShop, ann: User
) -> None:
    """The list does not contain its products, and a deleted coupon cannot be fetched."""
    gone = discount(shop, percent_off=50)
    at_stripe(shop).coupons.delete(gone["source"]["coupon"]["id"])
    two = items(priced(shop, ann), extra(shop, ann))

    assert amount(shop, ann, discounts=[gone]) == 750
    assert amount(shop, ann, discounts=[gone], items=two) is None


def test_a_discount_of_the_customer_counts_when_the_subscription_has_none(
    shop: LiveShop, ann: User
) -> None:
    customer = at_stripe(shop).customers.retrieve(ann.stripe_customer_id).to_dict(for_json=True)
    coupon = at_stripe(shop).coupons.create({"duration": "forever", "percent_off": 10})
    of_customer = discount(shop, percent_off=1)
    of_customer["source"]["coupon"] = coupon.id  # deeper than a list can be expanded
    customer["discount"] = of_customer

    assert amount(shop, ann, customer=customer) == 1350
    own = [discount(shop, percent_off=20)]
    assert amount(shop, ann, customer=customer, discounts=own) == 1200


def test_a_discount_that_ends_with_the_period_is_not_in_the_next_price(
    shop: LiveShop, ann: User
) -> None:
    renews = subscription_of(shop, ann)["items"].data[0].current_period_end

    assert amount(shop, ann, discounts=[discount(shop, percent_off=50, ends=renews)]) == 1500
    later = discount(shop, percent_off=50, ends=renews + 1)
    assert amount(shop, ann, discounts=[later]) == 750


@pytest.mark.parametrize(
    ("behavior", "on", "plus"),
    [("exclusive", True, True), ("inclusive", True, False), ("exclusive", False, False)],
)
def test_a_price_without_tax_is_marked(
    shop: LiveShop, ann: User, behavior: str, on: bool, plus: bool
) -> None:
    result = items(priced(shop, ann, tax_behavior=behavior))

    amount(shop, ann, items=result, automatic_tax={"enabled": on})

    recurring = stored(shop, ann).recurring
    assert recurring
    assert recurring.plus_tax is plus


def preview_responds(shop: LiveShop, status: int, error: dict[str, Any]) -> Any:
    def respond(environ: dict[str, Any], start_response: Any) -> Any:
        if not environ["PATH_INFO"].endswith("/invoices/create_preview"):
            return shop.proxy.app(environ, start_response)
        start_response(f"{status} No", [("Content-Type", "application/json")])
        return [json.dumps({"error": error}).encode()]

    return shop.proxy.answering(respond)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_after_a_refused_preview_everything_else_is_written(
    shop: LiveShop, ann: User, status: int
) -> None:
    with preview_responds(shop, status, {"type": "invalid_request_error", "message": "No."}):
        assert deliver_update(shop, ann) == "applied"

    result = stored(shop, ann)
    assert result.stripe_next_invoice is None
    assert result.stripe_recurring
    assert plan(shop, ann) == "solo"


def test_an_event_is_retried_after_an_outage_at_the_preview(shop: LiveShop, ann: User) -> None:
    subject = {"id": "sub_1", "object": "subscription", "customer": ann.stripe_customer_id}
    event = new_event()
    with preview_responds(shop, 500, {"type": "api_error", "message": "Down."}):
        response = deliver_event(shop, subject, id=event, kind="customer.subscription.updated")
        assert response is not None
        assert response.status_code == 503
    assert plan(shop, ann) == "hobby"

    response = deliver_event(shop, subject, id=event, kind="customer.subscription.updated")

    assert response is not None
    assert response.json() == {"outcome": "applied"}
    assert stored(shop, ann).stripe_next_invoice


def test_with_paused_collection_no_next_invoice_is_shown(shop: LiveShop, ann: User) -> None:
    subscription = subscription_of(shop, ann).id
    at_stripe(shop).subscriptions.update(subscription, {"pause_collection": {"behavior": "void"}})

    deliver_update(shop, ann)

    assert stored(shop, ann).stripe_next_invoice is None


def test_a_new_card_of_a_customer_causes_no_requests_to_stripe(shop: LiveShop, ann: User) -> None:
    customer = {"id": ann.stripe_customer_id, "object": "customer"}

    def outcome(**changed: Any) -> str:
        response = deliver_event(
            shop, customer, id=new_event(), kind="customer.updated", previous_attributes=changed
        )
        assert response is not None
        return str(response.json()["outcome"])

    assert outcome(invoice_settings={"default_payment_method": None}) == "ignored"
    assert outcome(balance=0) == "applied"
