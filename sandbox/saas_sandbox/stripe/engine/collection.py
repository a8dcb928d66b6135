"""Collect an invoice: attempts, retries, and their consequences.

Retries follow a configurable schedule, given in days after the previous attempt.
https://docs.stripe.com/billing/revenue-recovery/smart-retries
"""

import stripe

from saas_sandbox.stripe.engine import (
    ids,
    invoicing,
    lifecycle,
    payment_methods,
    payment_records,
    payments,
)
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.payments import NO_METHOD_OUTCOME, Outcome
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

DAY = 86400


def finalize_for_payment(account: Account, invoice: Resource) -> Resource:
    """Finalize an invoice so that it can be paid."""
    invoicing.finalize_invoice(account, invoice)
    if invoice["amount_remaining"] == 0:
        _mark_paid(account, invoice)
    elif invoice["collection_method"] == "charge_automatically":
        get_or_create_intent(account, invoice)
    return invoice


def collect_invoice(
    account: Account,
    invoice: Resource,
    *,
    method: Resource | None = None,
    authenticated: bool = False,
) -> Outcome:
    """Attempt a payment. Also finalize a draft, and settle an invoice of zero."""
    if invoice["status"] == "draft":
        finalize_for_payment(account, invoice)
    if invoice["status"] == "paid":
        return Outcome("succeeded")

    method = method or find_payment_method(account, invoice)
    intent = get_or_create_intent(account, invoice)
    outcome = NO_METHOD_OUTCOME
    if method:
        outcome = payments.confirm_intent(account, intent, method, authenticated=authenticated)
    record_attempt(account, invoice, outcome)
    return outcome


def record_attempt(account: Account, invoice: Resource, outcome: Outcome) -> None:
    """Record the result of an attempt, and update the subscription."""
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    if outcome.kind == "succeeded":
        _mark_paid(account, invoice)
    elif outcome.kind == "processing":
        invoice["next_payment_attempt"] = invoice["_internal"]["due"] = None
        account.save(invoice, "invoice.updated")
    else:
        _handle_failure(account, invoice, outcome)


def settle_delayed_payment(account: Account, intent: Resource) -> None:
    """Apply the bank's decision about a delayed payment."""
    outcome = payments.settle_delayed_payment(account, intent)
    if invoice_id := intent["_internal"].get("invoice"):
        invoice = account.get("invoice", invoice_id)
        if invoice["status"] == "open":
            record_attempt(account, invoice, outcome)


def find_payment_method(account: Account, invoice: Resource) -> Resource | None:
    """Return the payment method of the invoice, the subscription or the customer."""
    customer = account.get("customer", invoice["customer"])
    subscription = _find_subscription(account, invoice)
    method_id = (
        invoice["default_payment_method"]
        or (subscription and subscription["default_payment_method"])
        or (customer.get("invoice_settings") or {}).get("default_payment_method")
    )
    return account.get("payment_method", method_id) if method_id else None


def get_or_create_intent(account: Account, invoice: Resource) -> Resource:
    """Return the payment intent of an invoice, creating it on first use."""
    for payment in account.select("invoice_payment", "parent = ?", invoice["id"]):
        if payment["status"] == "open":
            return account.get("payment_intent", payment["payment"]["payment_intent"])

    customer = account.get("customer", invoice["customer"])
    intent = payments.create_intent(
        account,
        amount=invoice["amount_remaining"],
        currency=invoice["currency"],
        customer=customer,
        description=_describe_intent(invoice),
        setup_future_usage="off_session" if invoicing.get_subscription_id(invoice) else None,
        _internal={"invoice": invoice["id"]},
    )
    account.add(_build_invoice_payment(account, invoice, intent))
    return intent


def pay_out_of_band(account: Account, invoice: Resource) -> None:
    """Mark an invoice as paid outside of Stripe."""
    for payment in account.select("invoice_payment", "parent = ?", invoice["id"]):
        if payment["status"] == "open":
            intent = account.get("payment_intent", payment["payment"]["payment_intent"])
            payments.cancel_intent(account, intent, "void_invoice")
            payment["status"] = "canceled"
            payment["status_transitions"]["canceled_at"] = account.now(
                invoice["_internal"]["clock"]
            )
            account.save(payment)
    if invoice["amount_remaining"]:
        record = payment_records.report_payment(account, invoice)
        account.add(_build_invoice_payment(account, invoice, record))
    _mark_paid(account, invoice)


def detach_payment_intent(account: Account, invoice: Resource) -> Resource:
    """Present the payment of an invoice as a charge without an intent, like very old payments.

    "charge is only surfaced if the charge object is not associated with a payment intent"
    """
    for payment in account.select("invoice_payment", "parent = ?", invoice["id"]):
        intent = payment["payment"].get("payment_intent")
        if payment["status"] == "paid" and intent:
            charge = account.get("charge", account.get("payment_intent", intent)["latest_charge"])
            charge["payment_intent"] = None
            account.save(charge, "charge.updated")
            account.erase("payment_intent", intent)
            payment["payment"] = {"charge": charge["id"], "type": "charge"}
            return account.save(payment)
    raise invalid("This invoice was not paid with a payment intent.", "invoice")


def _mark_paid(account: Account, invoice: Resource) -> None:
    now = account.now(invoice["_internal"]["clock"])
    invoice |= {
        "status": "paid",
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "attempted": True,
        "auto_advance": False,
        "next_payment_attempt": None,
    }
    invoice["status_transitions"]["paid_at"] = now
    invoice["_internal"]["due"] = None
    _mark_payments_paid(account, invoice, now)
    account.save(invoice, "invoice.updated")
    account.emit("invoice.paid", invoice)
    account.emit("invoice.payment_succeeded", invoice)
    _set_delinquent(account, invoice, delinquent=False)
    if subscription := _find_subscription(account, invoice):
        lifecycle.handle_invoice_paid(account, subscription, invoice)


def _handle_failure(account: Account, invoice: Resource, outcome: Outcome) -> None:
    exhausted = _schedule_retry(account, invoice)
    account.save(invoice, "invoice.updated")
    account.emit("invoice.payment_failed", invoice)
    if outcome.kind == "requires_action":
        account.emit("invoice.payment_action_required", invoice)

    subscription = _find_subscription(account, invoice)
    if (
        subscription is None
        or lifecycle.is_ended(subscription)
        or "pending" in invoice["_internal"]
    ):
        return
    if invoice["billing_reason"] != "subscription_create":
        _set_delinquent(account, invoice, delinquent=True)
        lifecycle.handle_invoice_failed(account, subscription)
    if exhausted:
        lifecycle.handle_retries_exhausted(account, subscription)


def _schedule_retry(account: Account, invoice: Resource) -> bool:
    """Set the next attempt; return True if all retries are used up (some invoices have none)."""
    retries: list[int] = account.settings["retry_days"]
    attempt = invoice["attempt_count"]
    is_attempted_once = invoice["billing_reason"] in ("subscription_create", "manual")
    has_no_retries = is_attempted_once or "pending" in invoice["_internal"]
    if has_no_retries or attempt > len(retries):
        invoice["next_payment_attempt"] = invoice["_internal"]["due"] = None
        return not has_no_retries

    when = account.now(invoice["_internal"]["clock"]) + retries[attempt - 1] * DAY
    invoice["next_payment_attempt"] = invoice["_internal"]["due"] = when
    return False


def _set_delinquent(account: Account, invoice: Resource, *, delinquent: bool) -> None:
    customer = account.get("customer", invoice["customer"])
    if not customer.get("deleted") and customer["delinquent"] != delinquent:
        customer["delinquent"] = delinquent
        account.save(customer, "customer.updated")


def _find_subscription(account: Account, invoice: Resource) -> Resource | None:
    id = invoicing.get_subscription_id(invoice)
    return account.find("subscription", id) if id else None


def _build_invoice_payment(
    account: Account, invoice: Resource, payment_object: Resource
) -> Resource:
    """Return the link from an invoice to its payment: an intent or a record."""
    return build_object(
        stripe.InvoicePayment,
        id=ids.new("invoice_payment"),
        created=account.now(invoice["_internal"]["clock"]),
        amount_requested=invoice["amount_remaining"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=True,
        payment={payment_object["object"]: payment_object["id"], "type": payment_object["object"]},
        status="open",
        status_transitions={"canceled_at": None, "paid_at": None},
    )


def _mark_payments_paid(account: Account, invoice: Resource, now: int) -> None:
    for payment in account.select("invoice_payment", "parent = ?", invoice["id"]):
        if payment["status"] == "open":
            payment |= {"status": "paid", "amount_paid": payment["amount_requested"]}
            payment["status_transitions"]["paid_at"] = now
            account.save(payment, "invoice_payment.paid")


def _describe_intent(invoice: Resource) -> str:
    reasons = {
        "subscription_create": "Subscription creation",
        "subscription_cycle": "Subscription update",
        "subscription_update": "Subscription update",
    }
    return reasons.get(invoice["billing_reason"], "Payment for Invoice")


def describe_payment(account: Account, invoice: Resource) -> str | None:
    """Return a description of the payment method."""
    for payment in account.select("invoice_payment", "parent = ?", invoice["id"]):
        kind = payment["payment"]["type"]
        if kind == "payment_record":
            return "Paid outside of Stripe"
        payment_object = account.get(kind, payment["payment"][kind])
        if payment_object["payment_method"]:
            return payment_methods.describe_method(
                account.get("payment_method", payment_object["payment_method"])
            )
    return None
