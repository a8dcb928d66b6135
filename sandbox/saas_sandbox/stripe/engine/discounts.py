"""Discounts: the amount off and its duration. https://docs.stripe.com/api/discounts"""

from decimal import Decimal
from typing import Any

import stripe

from saas_sandbox.stripe.engine import currencies, ids, invoice_lines, periods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource, get_internal, strip_internal
from saas_sandbox.stripe.engine.shapes import build_object


def create_from_params(
    account: Account, params: Params, customer: Resource, subscription: Resource
) -> list[str]:
    """Redeem the coupons in `discounts[]`; return the ids of the discounts in order."""
    discount_ids = []
    for number, entry in enumerate(params.get("discounts") or []):
        coupon, promotion_code = _find_coupon(account, entry, f"discounts[{number}]")
        currencies.check_coupon_currency(coupon, subscription["currency"], f"discounts[{number}]")
        fields = {"subscription": subscription["id"]}
        discount_ids.append(
            redeem_coupon(account, coupon, promotion_code, customer, **fields)["id"]
        )
    return discount_ids


def redeem_coupon(
    account: Account,
    coupon: Resource,
    promotion_code: Resource | None,
    customer: Resource,
    **fields: Any,
) -> Resource:
    """Use a coupon once, for this customer's subscription."""
    use_coupon(account, coupon, promotion_code, customer)
    discount = _build_discount(account, coupon, promotion_code, customer, **fields)
    return account.add(discount, "customer.discount.created")


def use_coupon(
    account: Account, coupon: Resource, promotion_code: Resource | None, customer: Resource
) -> None:
    """Count one use of a coupon; refuse it if it may not be used."""
    check_redeemable(account, coupon, promotion_code, customer)
    for redeemed in filter(None, (coupon, promotion_code)):
        _count_redemption(account, redeemed)


def _build_discount(
    account: Account,
    coupon: Resource,
    promotion_code: Resource | None,
    customer: Resource,
    **fields: Any,
) -> Resource:
    now = account.now(customer["test_clock"])
    months = coupon["duration_in_months"]
    discount = build_object(
        stripe.Discount,
        id=ids.new("discount"),
        created=now,
        customer=customer["id"],
        end=periods.add_intervals(now, "month", months) if months else None,
        promotion_code=promotion_code["id"] if promotion_code else None,
        source={"coupon": coupon["id"], "type": "coupon"},
        start=now,
        **fields,
    )
    for name in ("created", "livemode"):
        del discount[name]
    discount["_internal"] = {
        "coupon": strip_internal(coupon),
        "applies_to": get_internal(coupon).get("applies_to"),
        "clock": customer["test_clock"],
    }
    return discount


def check_redeemable(
    account: Account,
    coupon: Resource,
    promotion_code: Resource | None,
    customer: Resource | None,
) -> None:
    """Refuse a coupon that may not be used."""
    if not coupon["valid"]:
        raise invalid(f"Coupon expired: {coupon['id']}", "coupon", "coupon_expired")
    if not promotion_code:
        return
    now = account.now(customer["test_clock"] if customer else None)
    expires = promotion_code["expires_at"]
    is_eligible = promotion_code["customer"] in (None, customer and customer["id"])
    if not promotion_code["active"] or not is_eligible or (expires and expires <= now):
        raise invalid("This promotion code cannot be redeemed.", "promotion_code")
    first_only = promotion_code["restrictions"]["first_time_transaction"]
    if first_only and customer and _has_paid(account, customer):
        raise invalid(
            "This promotion code cannot be redeemed because the associated customer has prior "
            "transactions.",
            "promotion_code",
        )


def apply_to_invoice(
    account: Account, invoice: Resource, subscription: Resource | None, customer: Resource
) -> None:
    """Apply the subscription's discounts to an invoice; end those that are used up."""
    for id in list(subscription["discounts"]) if subscription else []:
        discount = account.get("discount", id)
        coupon = discount["_internal"]["coupon"]
        if discount["end"] and discount["end"] <= max(invoice["created"], invoice["period_end"]):
            _remove_discount(account, subscription, discount)
            continue
        _apply_discount(invoice, discount, coupon)
        if coupon["duration"] == "once" and subscription and invoice["subtotal_before"] > 0:
            _remove_discount(account, subscription, discount)
    invoice.pop("subtotal_before", None)


def expire_coupon(account: Account, coupon: Resource) -> None:
    """ "Date after which the coupon can no longer be redeemed." """
    coupon["valid"] = False
    coupon["_internal"]["due"] = None
    account.save(coupon, "coupon.updated")


def applies_to(resource: Resource, product: str) -> bool:
    """Return whether a coupon, or its discount, applies to this product."""
    restriction = get_internal(resource).get("applies_to")
    return not restriction or product in restriction["products"]


def check_minimum(promotion_code: Resource, amount: int, currency: str) -> None:
    """ "Minimum amount required to redeem this Promotion Code into a Coupon" """
    restrictions = promotion_code["restrictions"]
    minimums = get_internal(promotion_code).get("minimums") or {}
    minimum = minimums.get(currency, {}).get("minimum_amount")
    if restrictions["minimum_amount_currency"] == currency:
        minimum = restrictions["minimum_amount"]
    if minimum and amount < minimum:
        raise invalid(
            "This promotion code requires a purchase of at least "
            f"{invoice_lines.format_money(minimum, currency)}.",
            "promotion_code",
        )


def calculate_discount(coupon: Resource, amount: int) -> int:
    """Return the part of an amount that a coupon takes off."""
    if amount <= 0:
        return 0
    if coupon["percent_off"] is not None:
        return invoice_lines.round_half_up(
            Decimal(amount) * Decimal(str(coupon["percent_off"])) / 100
        )
    return min(int(coupon["amount_off"]), amount)


def _has_paid(account: Account, customer: Resource) -> bool:
    return bool(account.select("invoice", "customer = ? AND status = 'paid'", customer["id"]))


def _apply_discount(invoice: Resource, discount: Resource, coupon: Resource) -> None:
    eligible = [
        line
        for line in invoice["lines"]["data"]
        if line["discountable"]
        and applies_to(discount, line["pricing"]["price_details"]["product"])
    ]
    previous_discount = sum(
        entry["amount"] for line in eligible for entry in line["discount_amounts"]
    )
    base = sum(line["amount"] for line in eligible) - previous_discount
    amount = calculate_discount(coupon, base)
    invoice["subtotal_before"] = base
    invoice["discounts"].append(discount["id"])
    invoice["total_discount_amounts"].append({"amount": amount, "discount": discount["id"]})
    _allocate(eligible, amount, discount["id"])


def _allocate(eligible: list[Resource], amount: int, discount: str) -> None:
    """Distribute the amount over the lines by size; add the rest to the last one."""
    whole = sum(max(line["amount"], 0) for line in eligible)
    remaining = amount
    for number, line in enumerate(eligible):
        last = number == len(eligible) - 1
        part = (
            remaining
            if last
            else invoice_lines.prorate_amount(amount, max(line["amount"], 0), whole or 1)
        )
        remaining -= part
        line["discounts"].append(discount)
        line["discount_amounts"].append({"amount": part, "discount": discount})


def _remove_discount(account: Account, subscription: Resource | None, discount: Resource) -> None:
    if subscription and discount["id"] in subscription["discounts"]:
        subscription["discounts"].remove(discount["id"])
        account.save(discount, "customer.discount.deleted")


def _count_redemption(account: Account, resource: Resource) -> None:
    resource["times_redeemed"] += 1
    maximum = resource["max_redemptions"]
    is_exhausted = maximum is not None and resource["times_redeemed"] >= maximum
    if is_exhausted:
        resource["valid" if resource["object"] == "coupon" else "active"] = False
    account.save(resource, f"{resource['object']}.updated")


def _find_coupon(account: Account, entry: Params, path: str) -> tuple[Resource, Resource | None]:
    if code := entry.get("promotion_code"):
        promotion = account.get("promotion_code", code, f"{path}[promotion_code]")
        return account.get("coupon", promotion["promotion"]["coupon"]), promotion
    if coupon := entry.get("coupon"):
        return account.get_undeleted("coupon", coupon, f"{path}[coupon]"), None
    raise invalid("You must specify a coupon or a promotion code.", path)
