"""Products, prices, coupons and promotion codes."""

import pytest
import stripe

from .conftest import Prices, Subscriber, at


def test_a_price_is_found_by_its_lookup_key(api: stripe.StripeClient, prices: Prices) -> None:
    api.v1.prices.update(prices.pro, {"lookup_key": "pro_monthly"})

    result = api.v1.prices.list({"lookup_keys": ["pro_monthly", "unknown"]})

    assert [price.id for price in result.data] == [prices.pro]


def test_a_lookup_key_is_transferred_only_on_request(
    api: stripe.StripeClient, prices: Prices
) -> None:
    api.v1.prices.update(prices.pro, {"lookup_key": "pro"})
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        api.v1.prices.update(prices.business, {"lookup_key": "pro"})

    api.v1.prices.update(prices.business, {"lookup_key": "pro", "transfer_lookup_key": True})

    assert api.v1.prices.retrieve(prices.pro).lookup_key is None
    assert api.v1.prices.list({"lookup_keys": ["pro"]}).data[0].id == prices.business


def test_an_inactive_price_cannot_be_bought_and_renews_existing_subscriptions(
    api: stripe.StripeClient, subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro)

    api.v1.prices.update(prices.pro, {"active": False})

    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        subscriber.subscribe(prices.pro)
    subscriber.until(at(2026, 4, 10, 14))
    assert subscriber.status(subscription.id) == "active"


def test_a_product_can_be_created_with_its_first_price(api: stripe.StripeClient) -> None:
    product = api.v1.products.create(
        {
            "name": "Pro",
            "default_price_data": {
                "currency": "usd",
                "unit_amount": 1500,
                "recurring": {"interval": "month"},
            },
            "expand": ["default_price"],
        }
    )

    price = product.default_price
    assert isinstance(price, stripe.Price)
    assert price.unit_amount == 1500


def test_a_product_with_prices_cannot_be_deleted(api: stripe.StripeClient, prices: Prices) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="cannot be deleted"):
        api.v1.products.delete(prices.product)

    lonely = api.v1.products.create({"name": "Lonely"})
    assert api.v1.products.delete(lonely.id).deleted


def test_lists_of_prices_are_filtered(api: stripe.StripeClient, prices: Prices) -> None:
    api.v1.prices.update(prices.pro_yearly, {"active": False})

    active = api.v1.prices.list({"product": prices.product, "active": True})

    assert [price.id for price in active.data] == [prices.pro]


@pytest.mark.parametrize(
    ("duration", "months", "paid"),
    [("once", None, [750, 1500, 1500]), ("forever", None, [750, 750, 750]),
     ("repeating", 2, [750, 750, 1500])],
)  # fmt: skip
def test_a_coupon_applies_for_its_duration(
    api: stripe.StripeClient,
    subscriber: Subscriber,
    prices: Prices,
    duration: str,
    months: int | None,
    paid: list[int],
) -> None:
    more = {"duration_in_months": months} if months else {}
    coupon = api.v1.coupons.create({"percent_off": 50, "duration": duration, **more})

    subscriber.subscribe(prices.pro, discounts=[{"coupon": coupon.id}])
    subscriber.until(at(2026, 5, 10, 14))

    assert [invoice.amount_paid for invoice in subscriber.invoices()] == paid
    assert subscriber.invoices()[0].total_discount_amounts[0].amount == 750


def test_an_amount_off_never_makes_an_invoice_negative(
    api: stripe.StripeClient, subscriber: Subscriber, prices: Prices
) -> None:
    coupon = api.v1.coupons.create({"amount_off": 5000, "currency": "usd", "duration": "once"})

    subscriber.subscribe(prices.pro, discounts=[{"coupon": coupon.id}])

    assert subscriber.invoices()[0].amount_paid == 0


def test_a_coupon_can_be_used_up(
    api: stripe.StripeClient, subscriber: Subscriber, prices: Prices
) -> None:
    coupon = api.v1.coupons.create(
        {"percent_off": 10, "duration": "once", "max_redemptions": 1, "id": "FIRST"}
    )
    subscriber.subscribe(prices.pro, discounts=[{"coupon": coupon.id}])

    with pytest.raises(stripe.InvalidRequestError) as spent:
        subscriber.subscribe(prices.pro, discounts=[{"coupon": "FIRST"}])

    assert spent.value.code == "coupon_expired"
    assert not api.v1.coupons.retrieve("FIRST").valid


def test_a_deleted_coupon_still_applies_to_existing_discounts(
    api: stripe.StripeClient, subscriber: Subscriber, prices: Prices
) -> None:
    coupon = api.v1.coupons.create({"percent_off": 50, "duration": "forever"})
    subscriber.subscribe(prices.pro, discounts=[{"coupon": coupon.id}])

    api.v1.coupons.delete(coupon.id)
    subscriber.until(at(2026, 4, 10, 14))

    assert subscriber.invoices()[-1].amount_paid == 750


def test_a_promotion_code_for_new_customers_is_refused_to_others(
    api: stripe.StripeClient, subscriber: Subscriber, prices: Prices
) -> None:
    coupon = api.v1.coupons.create({"percent_off": 20, "duration": "once"})
    code = api.v1.promotion_codes.create(
        {
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "code": "WELCOME",
            "restrictions": {"first_time_transaction": True},
        }
    )

    subscriber.subscribe(prices.pro, discounts=[{"promotion_code": code.id}])
    assert subscriber.invoices()[0].amount_paid == 1200

    with pytest.raises(stripe.InvalidRequestError, match="prior transactions"):
        subscriber.subscribe(prices.pro, discounts=[{"promotion_code": code.id}])
    assert api.v1.promotion_codes.list({"code": "welcome"}).data[0].times_redeemed == 1


def test_products_are_listed_by_their_ids(api: stripe.StripeClient, prices: Prices) -> None:
    product = api.v1.prices.retrieve(prices.pro).product

    listed = api.v1.products.list({"ids": [str(product)]})

    assert [item.id for item in listed.data] == [product]
    assert "_internal" not in listed.data[0]
