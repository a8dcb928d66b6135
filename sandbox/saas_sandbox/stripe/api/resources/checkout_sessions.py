"""Checkout sessions. https://docs.stripe.com/api/checkout/sessions"""

from typing import Any

import stripe
from stripe.params import checkout as shape

from saas_sandbox.stripe.api import expand, pagination, urls
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.api.resources.managed_payments import parse_managed_payments
from saas_sandbox.stripe.api.resources.setup_intents import create_setup_intent
from saas_sandbox.stripe.api.resources.subscriptions import parse_trial_end
from saas_sandbox.stripe.engine import (
    billing_cycle,
    checkout,
    checkout_lines,
    currencies,
    ids,
    metadata,
    taxes,
)
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.catalog import create_inline_price
from saas_sandbox.stripe.engine.errors import invalid, missing_param
from saas_sandbox.stripe.engine.params import Params, to_plain
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

KIND = "checkout.session"
URL = "/v1/checkout/sessions"
DAY = 86400
HALF_HOUR = 1800
MAX_LINES = {"payment": 100, "subscription": 20}
MINIMUM_AMOUNT = 50  # cents
PAYMENT_METHOD_TYPES = ("card", "us_bank_account")


@operation("POST", "/checkout/sessions", shape.SessionCreateParams)
def create(account: Account, params: Params) -> Resource:
    mode = params.get("mode")
    if mode is None:
        raise missing_param("mode")
    customer = _find_customer(account, params)
    lines = _parse_lines(account, params, mode)
    id = ids.new(KIND)
    managed_payments = parse_managed_payments(account, params, mode, lines)
    session = _build_session(account, id, mode, params)
    session["customer"] = customer["id"] if customer else None
    session["customer_email"] = params.get("customer_email")
    session["expires_at"] = _parse_expires_at(account, params)
    session["_internal"] = {
        "lines": lines,
        "due": session["expires_at"],
        "subscription_data": _parse_subscription_data(account, params, mode),
        "payment_intent_data": _parse_payment_intent_data(params, mode),
        "trial_end": _has_trial(params),
        "customer_update": _parse_customer_update(params, customer),
    }
    session |= managed_payments
    session["discounts"] = _parse_discounts(account, params)
    if lines:
        _price_session(account, session, customer, params)
    if mode == "payment":
        _check_minimum(session)
    if mode == "setup":
        _prepare_setup(account, session, customer, params)
    return account.add(session)


def _prepare_setup(
    account: Account, session: Resource, customer: Resource | None, params: Params
) -> None:
    if not {"currency", "payment_method_types"} & set(params):
        raise missing_param("currency")
    session["setup_intent"] = create_setup_intent(account, customer)["id"]
    session["payment_status"] = "no_payment_required"


def _price_session(
    account: Account, session: Resource, customer: Resource | None, params: Params
) -> None:
    """Set currency and totals. Refuse a currency that the customer or the coupon cannot use."""
    session["currency"] = _get_currency(account, params, session["_internal"]["lines"])
    if customer and session["mode"] == "subscription":
        currencies.check_customer_currency(account, customer, session["currency"])
    if applied := checkout.find_applied_coupon(account, session):
        currencies.check_coupon_currency(applied[0], session["currency"], "discounts")
    checkout.update_totals(account, session)


@operation("GET", "/checkout/sessions/<id>", shape.SessionRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get(KIND, id)


@operation("POST", "/checkout/sessions/<id>", shape.SessionUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    session = account.get(KIND, id)
    metadata.update_metadata(session, params)
    return account.save(session)


@operation("GET", "/checkout/sessions", shape.SessionListParams)
def list_all(account: Account, params: Params) -> Resource:
    names = ("customer", "subscription", "status")
    equal: dict[str, Any] = {name: params.get(name) for name in names}
    where, values = "1", []
    if "payment_intent" in params:
        where, values = "parent = ?", [params["payment_intent"]]
    return pagination.list_page(account, KIND, URL, params, condition=(where, values), **equal)


@operation("POST", "/checkout/sessions/<id>/expire", shape.SessionExpireParams)
def expire(account: Account, params: Params, id: str) -> Resource:
    session = account.get(KIND, id)
    if session["status"] != "open":
        raise invalid(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of `{session['status']}`."
        )
    return checkout.expire_session(account, session)


@operation("GET", "/checkout/sessions/<id>/line_items", shape.SessionListLineItemsParams)
def list_line_items(account: Account, params: Params, id: str) -> Resource:
    session = account.get(KIND, id)
    return pagination.list_slice(
        _build_line_items(account, session), f"{URL}/{id}/line_items", params
    )


def _find_customer(account: Account, params: Params) -> Resource | None:
    if "customer" in params and "customer_email" in params:
        raise invalid("You may only specify one of these parameters: customer, customer_email.")
    if "customer_creation" in params and params.get("mode") == "subscription":
        raise invalid(
            "`customer_creation` can only be used in `payment` and `setup` mode.",
            "customer_creation",
        )
    params.get("customer_creation")
    customer = params.get("customer")
    return account.get_undeleted("customer", customer, "customer") if customer else None


def _parse_lines(account: Account, params: Params, mode: str) -> list[dict[str, Any]]:
    entries = params.get("line_items") or []
    if mode == "setup":
        if entries:
            raise invalid("You can not pass `line_items` in `setup` mode.", "line_items")
        return []
    if not entries:
        raise missing_param("line_items")
    lines = [_parse_line(account, entry, f"line_items[{n}]") for n, entry in enumerate(entries)]
    maximum = MAX_LINES[mode]
    if len(lines) > maximum:
        raise invalid(
            f"Array line_items exceeded maximum {maximum} allowed elements.", "line_items"
        )
    prices = [account.get("price", line["price"]) for line in lines]
    if mode == "subscription" and not all(price["recurring"] for price in prices):
        raise invalid(
            "This sandbox does not support one-time prices in subscriptions.", "line_items"
        )
    if mode == "payment" and any(price["recurring"] for price in prices):
        raise invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to "
            "`subscription` mode or use only one-time prices.",
            "line_items",
        )
    return lines


def _get_currency(account: Account, params: Params, lines: list[dict[str, Any]]) -> str:
    prices = [account.get("price", line["price"]) for line in lines]
    currency: str = prices[0]["currency"]
    currencies.check_same_currency(prices, currency, "line_items")
    if params.get("currency", currency).lower() != currency:
        raise invalid("This sandbox only charges a price in its own currency.", "currency")
    return currency


def _check_minimum(session: Resource) -> None:
    """Refuse amounts below the minimum charge; only the minimum in US dollars is checked.

    https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
    """
    if session["currency"] == "usd" and 0 < session["amount_total"] < MINIMUM_AMOUNT:
        raise invalid(
            "The Checkout Session's total amount due must add up to at least $0.50 usd",
            code="amount_too_small",
        )


def _parse_line(account: Account, entry: Params, path: str) -> dict[str, Any]:
    if "price_data" in entry:
        price = create_inline_price(account, entry["price_data"])
    elif "price" in entry:
        price = account.get("price", entry["price"], f"{path}[price]")
        if not price["active"]:
            raise invalid(
                f"The price specified is inactive. This field only accepts active prices: "
                f"{price['id']}",
                f"{path}[price]",
            )
        if not account.get("product", price["product"])["active"]:
            raise invalid(
                f"Price `{price['id']}` is not available to be purchased because its product is "
                "not active.",
                f"{path}[price]",
            )
    else:
        raise missing_param(f"{path}[price]")
    quantity = entry.get("quantity")
    if quantity is None:
        raise invalid(f"Quantity is required. Add `quantity` to `{path}`", path)
    if quantity < 1:
        raise invalid("This value must be greater than or equal to 1.", f"{path}[quantity]")
    return {"id": ids.new("item"), "price": price["id"], "quantity": quantity}


def _build_session(account: Account, id: str, mode: str, params: Params) -> Resource:
    if params.get("ui_mode", "hosted_page") not in ("hosted_page", "hosted"):
        raise invalid("This sandbox only supports hosted pages.", "ui_mode")
    session = build_object(
        stripe.checkout.Session,
        id=id,
        created=account.now(),
        adaptive_pricing={"enabled": False},
        allow_promotion_codes=params.get("allow_promotion_codes"),
        automatic_tax=_build_automatic_tax(account, params),
        billing_address_collection=params.get("billing_address_collection"),
        cancel_url=_parse_url(params, "cancel_url"),
        client_reference_id=_parse_client_reference_id(params),
        currency=params.get("currency"),
        custom_fields=[],
        custom_text=_build_custom_text(params),
        locale=params.get("locale"),
        metadata=metadata.merge_values({}, params.get("metadata") or {}),
        mode=mode,
        payment_method_collection=_parse_payment_method_collection(params, mode),
        payment_method_options=to_plain(params.section("payment_method_options")),
        allowed_payment_method_types=params.get("allowed_payment_method_types"),
        payment_method_types=params.get("allowed_payment_method_types")
        or list(PAYMENT_METHOD_TYPES),
        payment_status="unpaid",
        phone_number_collection={"enabled": False},
        shipping_options=[],
        status="open",
        submit_type=params.get("submit_type"),
        **_build_tax_id_collection(params),
        success_url=_parse_url(params, "success_url"),
        ui_mode="hosted_page",
        url=f"{account.base_url}/stripe/checkout/{id}",
    )
    if session["success_url"] is None:
        raise missing_param("success_url")
    return session


def _build_automatic_tax(account: Account, params: Params) -> dict[str, Any]:
    enabled = params.section("automatic_tax").get("enabled", False)
    taxes.check_head_office(account, enabled)
    return {
        "enabled": enabled,
        "liability": {"type": "self"} if enabled else None,
        "provider": "stripe" if enabled else None,
        "status": "complete" if enabled else None,
    }


def _build_tax_id_collection(params: Params) -> dict[str, Any]:
    fields = to_plain(params.section("tax_id_collection"))
    return {"tax_id_collection": {"required": "never", **fields}} if fields else {}


def _parse_customer_update(params: Params, customer: Resource | None) -> dict[str, str]:
    """Return the fields of an existing customer that the page may change: none unless `auto`."""
    permissions = to_plain(params.section("customer_update"))
    if permissions and customer is None:
        raise invalid("`customer_update` can only be used with `customer`.", "customer_update")
    wants_tax_id = params.section("tax_id_collection").get("enabled", False)
    if customer and wants_tax_id and permissions.get("name") != "auto":
        raise invalid(
            "Tax ID collection requires updating business name on the customer. To enable tax ID "
            "collection for an existing customer, please set `customer_update[name]` to `auto`.",
            "customer_update[name]",
        )
    return {"address": "never", "name": "never", "shipping": "never", **permissions}


def _build_custom_text(params: Params) -> dict[str, Any]:
    names = ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
    return {**dict.fromkeys(names), **to_plain(params.section("custom_text"))}


def _parse_url(params: Params, name: str) -> str | None:
    """Check a URL (http or https) to which the page redirects."""
    url: str | None = params.get(name)
    if url is None:
        return None
    return urls.check_url(url, name)


def _parse_client_reference_id(params: Params) -> str | None:
    """Check the merchant's reference, of up to 200 characters."""
    reference: str | None = params.get("client_reference_id")
    if reference and len(reference) > 200:
        raise invalid("Invalid string: must be at most 200 characters", "client_reference_id")
    return reference


def _parse_expires_at(account: Account, params: Params) -> int:
    """ "It can be anywhere from 30 minutes to 24 hours after Checkout Session creation." """
    now = account.now()
    expires_at: int = params.get("expires_at", now + DAY)
    if expires_at < now + HALF_HOUR:
        raise invalid(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session "
            "creation.",
            "expires_at",
        )
    if expires_at > now + DAY:
        raise invalid(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            "expires_at",
        )
    return expires_at


def _parse_payment_method_collection(params: Params, mode: str) -> str | None:
    """Return whether a card is always collected; in payment mode, only for an amount due.

    https://docs.stripe.com/payments/checkout/no-cost-orders
    """
    if mode != "subscription" and "payment_method_collection" in params:
        raise invalid(
            "You can only set `payment_method_collection` if there are recurring prices.",
            "payment_method_collection",
        )
    defaults = {"subscription": "always", "payment": "if_required"}
    collection: str | None = params.get("payment_method_collection", defaults.get(mode))
    return collection


def _parse_payment_intent_data(params: Params, mode: str) -> dict[str, Any]:
    """Return the fields of the payment intent that the checkout creates."""
    data = params.section("payment_intent_data")
    if mode != "payment" and data:
        raise invalid(
            f"You can not pass `payment_intent_data` in `{mode}` mode.", "payment_intent_data"
        )
    return {
        "description": data.get("description"),
        "metadata": metadata.merge_values({}, data.get("metadata") or {}),
        "receipt_email": data.get("receipt_email"),
    }


def _parse_subscription_data(account: Account, params: Params, mode: str) -> dict[str, Any]:
    data = params.section("subscription_data")
    if mode != "subscription" and data:
        raise invalid(
            "You can not pass `subscription_data` unless in `subscription` mode.",
            "subscription_data",
        )
    end = parse_trial_end(data, account.now())
    if data.get("trial_end") and end and end < account.now() + 2 * DAY:
        raise invalid(
            "The `trial_end` date has to be at least 2 days in the future.",
            "subscription_data[trial_end]",
        )
    ending = billing_cycle.build_trial_settings(to_plain(data.section("trial_settings")))
    data.get("billing_mode")
    return {
        "description": data.get("description"),
        "metadata": metadata.merge_values({}, data.get("metadata") or {}),
        "trial_period_days": data.get("trial_period_days"),
        "trial_end": data.get("trial_end"),
        "trial_settings": ending,
    }


def _has_trial(params: Params) -> bool:
    data = params.section("subscription_data")
    return bool(data.get("trial_period_days") or data.get("trial_end"))


def _parse_discounts(account: Account, params: Params) -> list[dict[str, Any]]:
    discounts = params.get("discounts") or []
    if discounts and params.get("allow_promotion_codes"):
        raise invalid(
            "You may only specify one of these parameters: allow_promotion_codes, discounts."
        )
    entries = []
    for number, entry in enumerate(discounts):
        coupon, code = entry.get("coupon"), entry.get("promotion_code")
        path = f"discounts[{number}]"
        if coupon:
            account.get_undeleted("coupon", coupon, f"{path}[coupon]")
        if code:
            account.get("promotion_code", code, f"{path}[promotion_code]")
        entries.append({"coupon": coupon, "promotion_code": code})
    return entries


def _build_line_items(account: Account, session: Resource) -> list[Resource]:
    return [line.to_item() for line in checkout_lines.list_lines(account, session)]


def _include_line_items(account: Account, session: Resource) -> Resource:
    stored = account.get(KIND, session["id"])
    return pagination.build_list(
        _build_line_items(account, stored), f"{URL}/{session['id']}/line_items"
    )


expand.INCLUDABLE_FIELDS[KIND, "line_items"] = _include_line_items
