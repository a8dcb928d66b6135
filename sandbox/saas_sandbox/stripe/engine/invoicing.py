"""Invoices from draft to final. `collection` handles their payment.

https://docs.stripe.com/invoicing/integration/workflow-transitions
"""

from typing import Any

import stripe

from saas_sandbox.stripe.engine import discounts, ids, taxes
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

# A renewal's invoice can be changed for an hour before it is finalized and charged.
DRAFT_SECONDS = 3600


def create_draft(
    account: Account,
    customer: Resource,
    lines: list[Resource],
    *,
    reason: str,
    subscription: Resource | None = None,
    period: tuple[int, int],
    finalizes: bool = False,
    auto_advance: bool = True,
) -> Resource:
    """Create a draft with these lines; `finalizes` lets the clock finalize it in an hour."""
    invoice = build_invoice(
        account, customer, lines, reason=reason, subscription=subscription, period=period
    )
    due = invoice["created"] + DRAFT_SECONDS if finalizes and auto_advance else None
    invoice |= {"auto_advance": auto_advance, "automatically_finalizes_at": due}
    invoice["_internal"]["due"] = due
    _claim_pending_items(account, invoice)
    account.add(invoice, "invoice.created")
    if subscription:
        subscription["latest_invoice"] = invoice["id"]
    return invoice


def build_invoice(
    account: Account,
    customer: Resource,
    lines: list[Resource],
    *,
    reason: str,
    subscription: Resource | None,
    period: tuple[int, int],
) -> Resource:
    """Return an invoice with these lines, discounts and taxes, not stored yet."""
    invoice = {
        **_base_fields(account, customer, subscription, account.now(customer["test_clock"])),
        "auto_advance": True,
        "billing_reason": reason,
        "period_start": period[0],
        "period_end": period[1],
    }
    days = subscription["days_until_due"] if subscription else None
    invoice["_internal"] = {"due": None, "clock": customer["test_clock"], "days_until_due": days}
    _set_lines(invoice, lines)
    discounts.apply_to_invoice(account, invoice, subscription, customer)
    taxes.apply_to_invoice(account, invoice, customer)
    update_totals(invoice)
    return invoice


def finalize_invoice(account: Account, invoice: Resource) -> Resource:
    """Number and open an invoice. Its amounts are final."""
    if invoice["status"] != "draft":
        raise invalid("This invoice is already finalized.", code="invoice_not_editable")

    customer = account.get_undeleted("customer", invoice["customer"], "customer")
    now = account.now(invoice["_internal"]["clock"])
    _apply_balance(account, invoice, customer)
    invoice |= {
        "status": "open",
        "number": f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}",
        "effective_at": now,
        "automatically_finalizes_at": None,
        "hosted_invoice_url": f"{account.base_url}/stripe/invoices/{invoice['id']}",
    }
    if invoice["collection_method"] == "send_invoice":
        invoice["due_date"] = now + 86400 * (invoice["_internal"].get("days_until_due") or 30)
    invoice["status_transitions"]["finalized_at"] = now
    invoice["_internal"]["due"] = invoice["due_date"]
    customer["next_invoice_sequence"] += 1
    account.save(customer)
    return account.save(invoice, "invoice.finalized")


def void_invoice(account: Account, invoice: Resource) -> Resource:
    _require_status(invoice, "open", "uncollectible")
    invoice |= {"status": "void", "next_payment_attempt": None, "auto_advance": False}
    invoice["status_transitions"]["voided_at"] = account.now(invoice["_internal"]["clock"])
    invoice["_internal"]["due"] = None
    return account.save(invoice, "invoice.voided")


def mark_uncollectible(account: Account, invoice: Resource) -> Resource:
    _require_status(invoice, "open")
    now = account.now(invoice["_internal"]["clock"])
    invoice |= {"status": "uncollectible", "next_payment_attempt": None, "auto_advance": False}
    invoice["status_transitions"]["marked_uncollectible_at"] = now
    invoice["_internal"]["due"] = None
    return account.save(invoice, "invoice.marked_uncollectible")


def update_totals(invoice: Resource) -> None:
    """Compute the total from lines, discounts and taxes."""
    subtotal = sum(line["amount"] for line in invoice["lines"]["data"])
    discount = sum(entry["amount"] for entry in invoice["total_discount_amounts"])
    tax = sum(entry["amount"] for entry in invoice["total_taxes"])
    total = subtotal - discount + tax
    due = max(total + invoice["starting_balance"], 0)
    invoice |= {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": total,
        "total_excluding_tax": subtotal - discount,
        "amount_due": due,
        "amount_remaining": due,
    }


def get_subscription_id(invoice: Resource) -> str | None:
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    id: str | None = details.get("subscription")
    return id


def _require_status(invoice: Resource, *statuses: str) -> None:
    if invoice["status"] not in statuses:
        raise invalid(
            f"You can only pass in open invoices. This invoice isn't open: its status is "
            f"{invoice['status']}."
        )


def _apply_balance(account: Account, invoice: Resource, customer: Resource) -> None:
    """Apply a credit balance; a negative total is added to it.

    https://docs.stripe.com/billing/customer/balance
    """
    balance = customer["balance"]
    invoice["starting_balance"] = balance
    update_totals(invoice)
    new_balance = invoice["total"] + balance
    ending = min(new_balance, 0) if balance < 0 or invoice["total"] < 0 else 0
    invoice["ending_balance"] = ending
    if ending != balance:
        customer["balance"] = ending
        account.save(customer, "customer.updated")


def _set_lines(invoice: Resource, lines: list[Resource]) -> None:
    for line in lines:
        line["invoice"] = invoice["id"]
    invoice["lines"] = {
        "object": "list",
        "data": lines,
        "has_more": False,
        "url": f"/v1/invoices/{invoice['id']}/lines",
    }


def _claim_pending_items(account: Account, invoice: Resource) -> None:
    """Assign the pending items among the lines to this invoice."""
    for line in invoice["lines"]["data"]:
        details = line["parent"]["invoice_item_details"]
        if details:
            item = account.get("invoiceitem", details["invoice_item"])
            item["invoice"] = invoice["id"]
            item["_internal"]["status"] = "invoiced"
            account.save(item)


def _base_fields(
    account: Account, customer: Resource, subscription: Resource | None, now: int
) -> Resource:
    source = subscription or {}
    return build_object(
        stripe.Invoice,
        id=ids.new("invoice"),
        created=now,
        account_country="US",
        account_name="Sandbox",
        automatic_tax=taxes.invoice_fields(source),
        collection_method=source.get("collection_method", "charge_automatically"),
        currency=source.get("currency") or customer["currency"] or "usd",
        issuer={"type": "self"},
        metadata={},
        parent=_build_parent(subscription) if subscription else None,
        status="draft",
        test_clock=customer["test_clock"],
        **_customer_fields(customer),
        **_initial_fields(),
    )


def _customer_fields(customer: Resource) -> dict[str, Any]:
    """Return the customer's details as the invoice stores them."""
    names = ("address", "email", "name", "phone", "shipping", "tax_exempt")
    return {
        "customer": customer["id"],
        "customer_tax_ids": [],
        **{f"customer_{name}": customer[name] for name in names},
    }


def _initial_fields() -> dict[str, Any]:
    """Return initial values: no amounts, attempts or transitions."""
    amounts = (
        "amount_due", "amount_overpaid", "amount_paid", "amount_remaining", "amount_shipping",
        "post_payment_credit_notes_amount", "pre_payment_credit_notes_amount", "starting_balance",
    )  # fmt: skip
    lists = (
        "default_tax_rates", "discounts", "total_discount_amounts", "total_pretax_credit_amounts",
        "total_taxes",
    )  # fmt: skip
    moments = ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
    settings = ("default_mandate", "payment_method_options", "payment_method_types")
    return {
        **dict.fromkeys(amounts, 0),
        **{name: [] for name in lists},
        "attempt_count": 0,
        "attempted": False,
        "payment_settings": dict.fromkeys(settings),
        "status_transitions": dict.fromkeys(moments),
    }


def _build_parent(subscription: Resource) -> dict[str, Any]:
    return {
        "quote_details": None,
        "subscription_details": {
            "metadata": subscription["metadata"],
            "subscription": subscription["id"],
        },
        "type": "subscription_details",
    }
