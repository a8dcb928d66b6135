"""The receipt of a charge: what was bought, paid and refunded."""

from flask import Blueprint, abort, render_template

from saas_sandbox.stripe.engine import checkout, checkout_lines, invoice_lines, payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource, get_internal
from saas_sandbox.stripe.pages.labels import format_date
from saas_sandbox.stripe.pages.page_lookup import open_page

bp = Blueprint("receipt", __name__, url_prefix="/stripe/receipts")


@bp.get("/<id>")
def show(id: str) -> str:
    with open_page("charge", id) as (account, charge):
        if charge["status"] != "succeeded":
            abort(404)
        method = account.get("payment_method", charge["payment_method"])
        return render_template(
            "receipt.html",
            charge=charge,
            date=format_date(charge["created"]),
            amount=_format(charge, charge["amount"]),
            lines=_list_lines(account, charge),
            sums=[(name, _format(charge, amount)) for name, amount in _list_sums(account, charge)],
            refunded=_format(charge, charge["amount_refunded"]),
            paid_with=payment_methods.describe_method(method),
        )


def _list_lines(account: Account, charge: Resource) -> list[tuple[str, str]]:
    """Return what was bought: the lines of the checkout or invoice, or the charge itself."""
    if session := _find_source(account, charge, checkout.KIND):
        return [
            (
                f"{line.name} × {line.quantity}" if line.quantity > 1 else line.name,
                _format(charge, line.subtotal),
            )
            for line in checkout_lines.list_lines(account, session)
        ]
    if invoice := _find_source(account, charge, "invoice"):
        lines = invoice["lines"]["data"]
        return [(line["description"], _format(charge, line["amount"])) for line in lines]
    return [(charge["description"] or "Payment", _format(charge, charge["amount"]))]


def _list_sums(account: Account, charge: Resource) -> list[tuple[str, int]]:
    """Return discount and tax of a checkout; an invoice has its own page for these."""
    session = _find_source(account, charge, checkout.KIND)
    if not session:
        return []
    totals = session["total_details"]
    sums = [("Discount", -totals["amount_discount"]), ("Tax", totals["amount_tax"])]
    return [(name, amount) for name, amount in sums if amount]


def _find_source(account: Account, charge: Resource, kind: str) -> Resource | None:
    """Return the completed checkout in payment mode, or the invoice, that a charge pays."""
    intent = account.find("payment_intent", charge["payment_intent"] or "")
    id = get_internal(intent or {}).get({checkout.KIND: "session"}.get(kind, kind))
    source = account.find(kind, id) if id else None
    is_other = kind == checkout.KIND and source is not None and source["mode"] != "payment"
    return None if is_other else source


def _format(charge: Resource, amount: int) -> str:
    return invoice_lines.format_money(amount, charge["currency"])
