"""The lifecycle of a checkout session. Its page is in `pages.checkout`."""

from typing import Any

from saas_sandbox.stripe.engine import (
    billing_cycle,
    collection,
    currencies,
    discounts,
    invoice_lines,
    payment_methods,
    payments,
    periods,
    subscription_creation,
    taxes,
)
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.customers import build_customer
from saas_sandbox.stripe.engine.errors import StripeError, invalid
from saas_sandbox.stripe.engine.payments import Outcome
from saas_sandbox.stripe.engine.resource import Resource

KIND = "checkout.session"


def update_totals(account: Account, session: Resource) -> None:
    """Compute the amounts, with the entered promotion code."""
    today = 0 if session["_internal"].get("trial_end") else calculate_subtotal(account, session)
    discount = _calculate_discount(account, session, today)
    tax = (
        taxes.calculate_tax(account, today - discount) if session["automatic_tax"]["enabled"] else 0
    )
    session |= {
        "amount_subtotal": today,
        "amount_total": today - discount + tax,
        "total_details": {"amount_discount": discount, "amount_shipping": 0, "amount_tax": tax},
    }


def calculate_subtotal(account: Account, session: Resource, coupon: Resource | None = None) -> int:
    """Return the price of a full period or purchase; with a coupon, of the products it covers."""
    priced_lines = [
        (account.get("price", line["price"]), line) for line in session["_internal"]["lines"]
    ]
    return sum(
        invoice_lines.calculate_amount(price, line["quantity"])
        for price, line in priced_lines
        if coupon is None or discounts.applies_to(coupon, price["product"])
    )


def complete_session(
    account: Account,
    session: Resource,
    method: Resource | None,
    *,
    email: str | None = None,
    name: str | None = None,
    address: dict[str, str | None] | None = None,
    tax_id: str | None = None,
) -> Outcome:
    """Complete the checkout. If the bank declines, raise and change nothing."""
    customer = _get_or_create_customer(account, session, email, name)
    _save_collected_details(account, session, customer, name, address)
    if method:
        method["billing_details"] |= {"email": customer["email"], "name": name}
        payment_methods.attach_stored_method(account, method, customer)
    outcome = COMPLETION_BY_MODE[session["mode"]](account, session, customer, method)
    session |= {
        "status": "complete",
        "payment_status": _get_payment_status(session, outcome),
        "customer": customer["id"],
        "customer_details": {
            **_customer_details(customer),
            "tax_ids": _build_tax_ids(session, tax_id),
        },
        "url": None,
    }
    session["_internal"]["due"] = None
    account.save(session, "checkout.session.completed")
    return outcome


def _get_payment_status(session: Resource, outcome: Outcome) -> str:
    if not session["amount_total"]:
        return "no_payment_required"
    return "paid" if outcome.kind == "succeeded" else "unpaid"


def complete_delayed_payment(account: Account, session: Resource, *, succeeded: bool) -> None:
    """Apply the bank's decision about a delayed payment of a completed session."""
    if succeeded:
        session["payment_status"] = "paid"
    ending = "succeeded" if succeeded else "failed"
    account.save(session, f"checkout.session.async_payment_{ending}")


def expire_session(account: Account, session: Resource) -> Resource:
    session |= {"status": "expired", "url": None}
    session["_internal"]["due"] = None
    return account.save(session, "checkout.session.expired")


def apply_promotion_code(account: Account, session: Resource, code: str) -> None:
    """Apply a promotion code, ignoring its case; raise if it cannot be used."""
    codes = account.select(
        "promotion_code", "lookup = ? AND status = 'active'", code.strip().lower()
    )
    if not codes or not session["allow_promotion_codes"]:
        raise invalid("This code is invalid.", "promotion_code")

    promotion = codes[-1]
    coupon = account.get("coupon", promotion["promotion"]["coupon"])
    customer = account.find("customer", session["customer"]) if session["customer"] else None
    discounts.check_redeemable(account, coupon, promotion, customer)
    currencies.check_coupon_currency(coupon, session["currency"], "promotion_code")
    discounts.check_minimum(promotion, calculate_subtotal(account, session), session["currency"])
    session["discounts"] = [{"coupon": None, "promotion_code": promotion["id"]}]
    update_totals(account, session)
    account.save(session)


def remove_promotion_code(account: Account, session: Resource) -> None:
    session["discounts"] = []
    update_totals(account, session)
    account.save(session)


def find_applied_coupon(
    account: Account, session: Resource
) -> tuple[Resource, Resource | None] | None:
    """Return the coupon in use, and its promotion code."""
    for entry in session["discounts"] or []:
        if entry["promotion_code"]:
            promotion = account.get("promotion_code", entry["promotion_code"])
            return account.get("coupon", promotion["promotion"]["coupon"]), promotion
        return account.get("coupon", entry["coupon"]), None
    return None


def _complete_subscription(
    account: Account, session: Resource, customer: Resource, method: Resource | None
) -> Outcome:
    data: dict[str, Any] = session["_internal"]["subscription_data"]
    lines: list[tuple[Resource, int, dict[str, str]]] = [
        (account.get("price", line["price"]), line["quantity"], {})
        for line in session["_internal"]["lines"]
    ]
    subscription = billing_cycle.build_subscription(
        account,
        customer,
        lines,
        trial_end=_calculate_trial_end(account, session, customer),
        metadata=data["metadata"],
        description=data["description"],
        default_payment_method=method["id"] if method else None,
        automatic_tax=taxes.subscription_fields(session["automatic_tax"]["enabled"]),
        trial_settings=data["trial_settings"],
        managed_payments=session.get("managed_payments"),
    )
    _redeem_coupon(account, session, subscription, customer)
    outcome = subscription_creation.create_by_checkout(account, subscription, customer, method)
    session |= {"subscription": subscription["id"], "invoice": subscription["latest_invoice"]}
    if outcome.kind == "processing":
        _link_payment(account, session, account.get("invoice", subscription["latest_invoice"]))
    return outcome


def _complete_payment(
    account: Account, session: Resource, customer: Resource, method: Resource | None
) -> Outcome:
    if applied := find_applied_coupon(account, session):
        discounts.use_coupon(account, *applied, customer)
    if not session["amount_total"]:
        return Outcome("succeeded")
    if method is None:
        raise StripeError("A payment method is required.", code="parameter_missing")
    intent = payments.create_intent(
        account,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=customer,
        managed_payments=session.get("managed_payments"),
        _internal={"session": session["id"]},
        **session["_internal"].get("payment_intent_data", {}),
    )
    session["payment_intent"] = intent["id"]
    outcome = payments.confirm_intent(account, intent, method, authenticated=True)
    if outcome.decline:
        raise outcome.decline.error()
    return outcome


def _complete_setup(
    account: Account, session: Resource, customer: Resource, method: Resource | None
) -> Outcome:
    if method is None:
        raise StripeError("A payment method is required.", code="parameter_missing")
    method["_internal"]["set_up"] = True
    account.save(method)
    intent = account.get("setup_intent", session["setup_intent"])
    intent |= {"status": "succeeded", "payment_method": method["id"], "customer": customer["id"]}
    account.save(intent, "setup_intent.succeeded")
    return Outcome("succeeded")


COMPLETION_BY_MODE = {
    "subscription": _complete_subscription,
    "payment": _complete_payment,
    "setup": _complete_setup,
}


def _calculate_trial_end(account: Account, session: Resource, customer: Resource) -> int | None:
    """Return the end of the trial, counted from the checkout by the customer's clock."""
    data = session["_internal"]["subscription_data"]
    if days := data["trial_period_days"]:
        return periods.add_intervals(account.now(customer["test_clock"]), "day", days)
    end: int | None = data["trial_end"]
    return end


def _link_payment(account: Account, session: Resource, invoice: Resource) -> None:
    """Record on the payment the session that waits for the bank."""
    intent = collection.get_or_create_intent(account, invoice)
    intent["_internal"]["session"] = session["id"]
    account.save(intent)


def _get_or_create_customer(
    account: Account, session: Resource, email: str | None, name: str | None
) -> Resource:
    if session["customer"]:
        return account.get_undeleted("customer", session["customer"], "customer")
    customer = build_customer(account)
    customer |= {"email": session["customer_email"] or email, "name": name}
    customer["_internal"] = {"lookup": customer["email"]}
    return account.add(customer, "customer.created")


def _save_collected_details(
    account: Account,
    session: Resource,
    customer: Resource,
    name: str | None,
    address: dict[str, str | None] | None,
) -> None:
    """ "Describes whether Checkout saves the billing address onto `customer.address`." """
    permissions = session["_internal"].get("customer_update", {})
    collected = {"address": address, "name": name}
    changes = {
        field: value
        for field, value in collected.items()
        if value and permissions.get(field) == "auto"
    }
    if changes:
        customer |= changes
        account.save(customer, "customer.updated")


def _build_tax_ids(session: Resource, tax_id: str | None) -> list[dict[str, str]]:
    collects = (session.get("tax_id_collection") or {}).get("enabled")
    return [{"type": "unknown", "value": tax_id}] if tax_id and collects else []


def _redeem_coupon(
    account: Account, session: Resource, subscription: Resource, customer: Resource
) -> None:
    if applied := find_applied_coupon(account, session):
        fields = {"checkout_session": session["id"], "subscription": subscription["id"]}
        discount = discounts.redeem_coupon(account, *applied, customer, **fields)
        subscription["discounts"] = [discount["id"]]


def _calculate_discount(account: Account, session: Resource, amount: int) -> int:
    applied = find_applied_coupon(account, session)
    return (
        discounts.calculate_discount(applied[0], calculate_subtotal(account, session, applied[0]))
        if applied and amount
        else 0
    )


def _customer_details(customer: Resource) -> dict[str, Any]:
    return {
        "address": customer["address"],
        "business_name": None,
        "email": customer["email"],
        "individual_name": None,
        "name": customer["name"],
        "phone": customer["phone"],
        "tax_exempt": customer["tax_exempt"],
        "tax_ids": [],
    }
