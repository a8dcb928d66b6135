"""The checkout page."""

from typing import Any

from flask import Blueprint, abort, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from saas_sandbox.stripe.engine import checkout, invoice_lines
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import StripeError
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.pages import card_form
from saas_sandbox.stripe.pages.page_lookup import open_page

bp = Blueprint("checkout", __name__, url_prefix="/stripe/checkout")

Page = str | tuple[str, int] | BaseResponse


@bp.get("/<id>")
def show(id: str) -> Page:
    with open_page(checkout.KIND, id) as (account, session):
        return _render(account, session)


@bp.post("/<id>")
def pay(id: str) -> Page:
    """Pay with a card. A decline is shown above the form and changes nothing."""
    form = request.form
    try:
        with open_page(checkout.KIND, id) as (account, session):
            _require_open(account, session)
            method = _create_payment_method(account, session)
            if card_form.needs_confirmation(method):
                return _render_confirmation(account, session)
            checkout.complete_session(
                account,
                session,
                method,
                email=form.get("email", "").strip() or None,
                name=form.get("name", "").strip() or None,
                address=_read_address(session),
                tax_id=form.get("tax_id", "").strip() or None,
            )
            return redirect(build_success_url(session), 303)
    except StripeError as error:
        return _show_error(id, error.message)


@bp.post("/<id>/code")
def set_promotion_code(id: str) -> Page:
    """Enter or remove a promotion code."""
    try:
        with open_page(checkout.KIND, id) as (account, session):
            _require_open(account, session)
            if request.form.get("remove"):
                checkout.remove_promotion_code(account, session)
            else:
                checkout.apply_promotion_code(account, session, request.form.get("code", ""))
    except StripeError as error:
        return _show_error(id, error.message, field="code")
    return redirect(f"/stripe/checkout/{id}", 303)


def build_success_url(session: Resource) -> str:
    """Return the merchant's URL, with the session's id if requested."""
    url: str = session["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session["id"])


def _show_error(id: str, message: str, field: str = "card") -> Page:
    with open_page(checkout.KIND, id) as (account, session):
        return _render(account, session, message=message, field=field), 422


def _render(
    account: Account, session: Resource, message: str | None = None, field: str | None = None
) -> str:
    customer = account.find("customer", session["customer"]) if session["customer"] else None
    return render_template(
        f"checkout_{'open' if session['status'] == 'open' else 'closed'}.html",
        session=session,
        lines=[_format_line(account, line) for line in session["_internal"]["lines"]],
        price=_format_totals(account, session),
        email=customer.get("email") if customer else session["customer_email"],
        needs_card=_needs_card(session),
        used=checkout.find_applied_coupon(account, session),
        message=message,
        field=field,
        form=request.form,
        success_url=build_success_url(session),
    )


def _render_confirmation(account: Account, session: Resource) -> str:
    """Return the bank's page, where the customer confirms or refuses."""
    return render_template(
        "checkout_confirm.html",
        action=f"/stripe/checkout/{session['id']}",
        total=_format_totals(account, session)["total"],
        form=request.form,
    )


def _format_line(account: Account, line: dict[str, Any]) -> dict[str, Any]:
    price = account.get("price", line["price"])
    product = account.get("product", price["product"])
    amount = invoice_lines.calculate_amount(price, line["quantity"])
    return {
        "name": product.get("name"),
        "description": product.get("description"),
        "quantity": line["quantity"],
        "rate": invoice_lines.format_rate(price) if price["recurring"] else None,
        "amount": invoice_lines.format_money(amount, price["currency"]),
    }


def _format_totals(account: Account, session: Resource) -> dict[str, Any]:
    """Return the amounts of the page, formatted."""
    currency = session["currency"] or "usd"
    if session["mode"] == "setup":
        return {"total": None, "subtotal": None, "off": None, "tax": None, "later": None}

    def format_amount(amount: int) -> str:
        return invoice_lines.format_money(amount, currency)

    totals = session["total_details"]
    discount, has_tax = totals["amount_discount"], session["automatic_tax"]["enabled"]
    trial = session["_internal"]["trial_end"]
    return {
        "total": format_amount(session["amount_total"]),
        "subtotal": format_amount(session["amount_subtotal"]),
        "off": format_amount(-discount) if discount else None,
        "tax": format_amount(totals["amount_tax"]) if has_tax else None,
        "later": format_amount(checkout.calculate_subtotal(account, session)) if trial else None,
        "days": session["_internal"]["subscription_data"]["trial_period_days"],
    }


def _needs_card(session: Resource) -> bool:
    """Return whether to ask for a card: with "if_required", only for an amount due today."""
    return bool(session["amount_total"]) or session["payment_method_collection"] != "if_required"


def _create_payment_method(account: Account, session: Resource) -> Resource | None:
    if not _needs_card(session):
        return None
    customer = account.find("customer", session["customer"]) if session["customer"] else None
    method = card_form.create_payment_method(
        account, customer.get("test_clock") if customer else None
    )
    if method["type"] not in session["payment_method_types"]:
        raise StripeError("This payment method is not accepted here.")
    return method


def _read_address(session: Resource) -> dict[str, str | None] | None:
    """Return the billing address, if the page asks for one."""
    if session["billing_address_collection"] != "required":
        return None
    fields = ("line1", "line2", "city", "state", "postal_code", "country")
    return {name: request.form.get(name, "").strip()[:200] or None for name in fields}


def _require_open(account: Account, session: Resource) -> None:
    if session["status"] != "open":
        abort(BaseResponse(_render(account, session), 409, mimetype="text/html"))
