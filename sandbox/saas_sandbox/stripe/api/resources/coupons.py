"""Coupons and promotion codes. https://docs.stripe.com/api/coupons"""

import re
from collections.abc import Callable
from typing import Any

import stripe
from stripe import params as shape

from saas_sandbox.stripe.api import expand, pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import ids, metadata
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid, missing_param
from saas_sandbox.stripe.engine.params import Params, to_plain
from saas_sandbox.stripe.engine.resource import Resource, get_internal
from saas_sandbox.stripe.engine.shapes import build_object

# "Valid characters are lower case letters (a-z), upper case letters (A-Z), digits (0-9), and
# dashes (-)."
CODE_PATTERN = re.compile(r"[A-Za-z0-9-]+")


@operation("POST", "/coupons", shape.CouponCreateParams)
def create(account: Account, params: Params) -> Resource:
    id = params.get("id") or ids.new("coupon")
    if account.find("coupon", id):
        raise invalid("Coupon already exists.", "id", "resource_already_exists")

    coupon = build_object(
        stripe.Coupon,
        id=id,
        created=account.now(),
        amount_off=params.get("amount_off"),
        currency=params["currency"].lower() if "currency" in params else None,
        duration=params.get("duration", "once"),
        duration_in_months=params.get("duration_in_months"),
        max_redemptions=params.get("max_redemptions"),
        metadata={},
        name=params.get("name"),
        percent_off=params.get("percent_off"),
        redeem_by=params.get("redeem_by"),
        times_redeemed=0,
        valid=True,
    )
    _check_coupon(coupon)
    _check_future(account, coupon["redeem_by"], "redeem_by")
    metadata.update_metadata(coupon, params)
    coupon["_internal"] = {
        "due": coupon["redeem_by"],
        "applies_to": _parse_products(account, params),
        "currency_options": _build_currency_options(coupon, params),
    }
    return account.add(coupon, "coupon.created")


@operation("GET", "/coupons/<id>", shape.CouponRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get_undeleted("coupon", id)


@operation("POST", "/coupons/<id>", shape.CouponUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    coupon = account.get_undeleted("coupon", id)
    params.copy_to(coupon, "name")
    coupon["_internal"]["currency_options"] = {
        **(coupon["_internal"].get("currency_options") or {}),
        **_build_currency_options(coupon, params),
    }
    metadata.update_metadata(coupon, params)
    return account.save(coupon, "coupon.updated")


@operation("DELETE", "/coupons/<id>", shape.CouponDeleteParams)
def delete(account: Account, params: Params, id: str) -> Resource:
    """ "deleting a coupon does not affect any customers who have already applied the coupon" """
    return account.delete(account.get_undeleted("coupon", id), "coupon.deleted")


@operation("GET", "/coupons", shape.CouponListParams)
def list_all(account: Account, params: Params) -> Resource:
    return pagination.list_page(account, "coupon", "/v1/coupons", params)


@operation("POST", "/promotion_codes", shape.PromotionCodeCreateParams)
def create_code(account: Account, params: Params) -> Resource:
    coupon = account.get_undeleted("coupon", _get_coupon_id(params), "promotion[coupon]")
    code = params.get("code") or ids.token(8).upper()
    if not CODE_PATTERN.fullmatch(code):
        raise invalid("Promotion codes can only have letters, digits and dashes.", "code")
    _check_future(account, params.get("expires_at"), "expires_at")
    if account.select("promotion_code", "lookup = ? AND status = 'active'", code.lower()):
        raise invalid("An active promotion code with `code: " + code + "` already exists.", "code")
    if customer := params.get("customer"):
        account.get_undeleted("customer", customer, "customer")

    promotion = build_object(
        stripe.PromotionCode,
        id=ids.new("promotion_code"),
        created=account.now(),
        active=params.get("active", True),
        code=code,
        customer=customer,
        expires_at=params.get("expires_at"),
        max_redemptions=params.get("max_redemptions"),
        metadata={},
        promotion={"coupon": coupon["id"], "type": "coupon"},
        restrictions=_build_restrictions(params.section("restrictions")),
        times_redeemed=0,
    )
    metadata.update_metadata(promotion, params)
    promotion["_internal"] = {"lookup": code.lower()} | _parse_minimums(
        params.section("restrictions")
    )
    return account.add(promotion, "promotion_code.created")


@operation("GET", "/promotion_codes/<id>", shape.PromotionCodeRetrieveParams)
def retrieve_code(account: Account, params: Params, id: str) -> Resource:
    return account.get("promotion_code", id)


@operation("POST", "/promotion_codes/<id>", shape.PromotionCodeUpdateParams)
def update_code(account: Account, params: Params, id: str) -> Resource:
    promotion = account.get("promotion_code", id)
    params.copy_to(promotion, "active")
    promotion["_internal"] |= _parse_minimums(params.section("restrictions"))
    metadata.update_metadata(promotion, params)
    return account.save(promotion, "promotion_code.updated")


@operation("GET", "/promotion_codes", shape.PromotionCodeListParams)
def list_codes(account: Account, params: Params) -> Resource:
    code = params.get("code")
    return pagination.list_page(
        account,
        "promotion_code",
        "/v1/promotion_codes",
        params,
        lookup=code.lower() if code else None,
        status={True: "active", False: "inactive", None: None}[params.get("active")],
        customer=params.get("customer"),
    )


def _get_coupon_id(params: Params) -> str:
    coupon: str | None = params["promotion"].get("coupon")
    params["promotion"].get("type")
    if coupon is None:
        raise missing_param("promotion[coupon]")
    return coupon


def _check_future(account: Account, moment: int | None, param: str) -> None:
    if moment is not None and moment <= account.now():
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", param)


def _check_coupon(coupon: Resource) -> None:
    percent, amount = coupon["percent_off"], coupon["amount_off"]
    if (percent is None) == (amount is None):
        raise invalid("Must provide percent_off or amount_off.", "percent_off")
    if percent is not None and not 0 < percent <= 100:
        raise invalid("Invalid percent_off: must be from 0 to 100.", "percent_off")
    if amount is not None and (amount < 1 or not coupon["currency"]):
        raise invalid("amount_off must be positive, and needs a currency.", "amount_off")
    if (coupon["duration"] == "repeating") != bool(coupon["duration_in_months"]):
        raise invalid(
            "duration_in_months is required for, and only for, a duration of repeating.",
            "duration_in_months",
        )


def _build_restrictions(params: Params) -> dict[str, object]:
    minimum, currency = params.get("minimum_amount"), params.get("minimum_amount_currency")
    if (minimum is None) != (currency is None):
        raise invalid(
            "You must pass both `minimum_amount` and `minimum_amount_currency`, or neither.",
            "restrictions[minimum_amount]",
        )
    return {
        "first_time_transaction": params.get("first_time_transaction", False),
        "minimum_amount": minimum,
        "minimum_amount_currency": currency.lower() if currency else None,
    }


def _parse_minimums(restrictions: Params) -> dict[str, Any]:
    """Return the minimum amount in other currencies."""
    return (
        {"minimums": parse_currency_options(restrictions)}
        if "currency_options" in restrictions
        else {}
    )


def parse_currency_options(params: Params) -> dict[str, Any]:
    return {
        name.lower(): entry for name, entry in to_plain(params.section("currency_options")).items()
    }


def _build_currency_options(coupon: Resource, params: Params) -> dict[str, Any]:
    """Return the amount off in each currency; a percentage is the same in all."""
    options = parse_currency_options(params)
    if options and coupon["amount_off"] is None:
        raise invalid("currency_options needs an amount_off.", "currency_options")
    default_option = {coupon["currency"]: {"amount_off": coupon["amount_off"]}}
    return {**default_option, **options} if coupon["amount_off"] is not None else {}


def _parse_products(account: Account, params: Params) -> dict[str, Any] | None:
    """Return the products that a coupon is limited to; if empty, it applies to all."""
    products = params.section("applies_to").get("products")
    for number, product in enumerate(products or []):
        account.get_undeleted("product", product, f"applies_to[products][{number}]")
    return {"products": products} if products else None


def _read_internal(kind: str, name: str) -> Callable[[Account, Resource], Any]:
    """Return a value that is stored internally, and sent only when expanded."""
    return lambda account, parent: get_internal(account.get(kind, parent["id"])).get(name)


for _name in ("applies_to", "currency_options"):
    expand.INCLUDABLE_FIELDS["coupon", _name] = _read_internal("coupon", _name)
expand.INCLUDABLE_FIELDS["promotion_code", "restrictions.currency_options"] = _read_internal(
    "promotion_code", "minimums"
)
