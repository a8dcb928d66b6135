"""The hosted invoice page."""

from typing import Any

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from saas_sandbox.stripe.engine import collection, invoice_lines, payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import StripeError
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.pages import card_form
from saas_sandbox.stripe.pages.labels import format_date
from saas_sandbox.stripe.pages.page_lookup import open_page

bp = Blueprint("invoice", __name__, url_prefix="/stripe")

Page = str | tuple[str, int] | BaseResponse


@bp.get("/invoices/<id>")
def show(id: str) -> Page:
    with open_page("invoice", id) as (account, invoice):
        return _render(account, invoice)


@bp.post("/invoices/<id>")
def pay(id: str) -> Page:
    """Pay with another card. A failed attempt is recorded."""
    try:
        with open_page("invoice", id) as (account, invoice):
            if invoice["status"] != "open":
                return redirect(f"/stripe/invoices/{id}", 303)
            method = card_form.create_payment_method(account, invoice["test_clock"])
            if card_form.needs_confirmation(method):
                return _render_confirmation(invoice)
            customer = account.get_undeleted("customer", invoice["customer"])
            payment_methods.attach_stored_method(account, method, customer)
            outcome = collection.collect_invoice(
                account, invoice, method=method, authenticated=True
            )
            message = outcome.decline.message if outcome.decline else None
            return (
                (_render(account, invoice, message), 422)
                if message
                else redirect(request.path, 303)
            )
    except StripeError as error:
        with open_page("invoice", id) as (account, invoice):
            return _render(account, invoice, error.message), 422


def _render(account: Account, invoice: Resource, message: str | None = None) -> str:
    def format_amount(amount: int) -> str:
        return invoice_lines.format_money(amount, invoice["currency"])

    rows = [
        {
            "text": line["description"],
            "amount": format_amount(line["amount"]),
            "period": _format_period(line),
        }
        for line in invoice["lines"]["data"]
    ]
    return render_template(
        "invoice.html",
        invoice=invoice,
        lines=rows,
        sums=[(name, format_amount(amount)) for name, amount in _list_totals(invoice) if amount],
        total=format_amount(invoice["total"]),
        due=format_amount(invoice["amount_remaining"]),
        date=format_date(invoice["created"]),
        paid_with=collection.describe_payment(account, invoice)
        if invoice["status"] == "paid"
        else None,
        message=message,
        form=request.form,
    )


def _list_totals(invoice: Resource) -> list[tuple[str, int]]:
    discount = sum(entry["amount"] for entry in invoice["total_discount_amounts"])
    tax = sum(entry["amount"] for entry in invoice["total_taxes"])
    return [
        ("Subtotal", invoice["subtotal"]),
        ("Discount", -discount),
        ("Tax", tax),
        ("Credit balance", invoice["amount_due"] - invoice["total"]),
    ]


def _format_period(line: dict[str, Any]) -> str:
    return f"{format_date(line['period']['start'])} – {format_date(line['period']['end'])}"


def _render_confirmation(invoice: Resource) -> str:
    return render_template(
        "checkout_confirm.html",
        action=f"/stripe/invoices/{invoice['id']}",
        total=invoice_lines.format_money(invoice["amount_remaining"], invoice["currency"]),
        form=request.form,
    )
