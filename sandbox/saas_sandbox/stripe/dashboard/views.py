"""The dashboard: the events of a subscription with explanations, and controls."""

import json
from typing import Any

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from saas_sandbox.stripe import webhook_sender
from saas_sandbox.stripe.accounts import find_account
from saas_sandbox.stripe.dashboard import event_descriptions, payments
from saas_sandbox.stripe.engine import invoice_lines, lifecycle, payment_methods, time_travel
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.default_payment_method import set_default_payment_method
from saas_sandbox.stripe.engine.errors import StripeError
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.faults import injection
from saas_sandbox.stripe.pages.labels import format_date, format_time, get_status_label

bp = Blueprint("dashboard", __name__, url_prefix="/stripe")

MAX_EVENTS = 60
MAX_SLOW_SECONDS = 120
CARDS = {
    "works": "pm_card_visa",
    "fails": "pm_card_chargeCustomerFail",
    "asks": "pm_card_authenticationRequired",
}


@bp.get("/")
def index() -> str:
    """List all accounts; each API key has created one."""
    store = current_app.extensions["sandbox"].store
    rows = store.fetch_all(
        "SELECT accounts.*, "
        "(SELECT count(*) FROM objects WHERE account = accounts.id AND type = 'customer' "
        "AND status IS NOT 'deleted') AS customers, "
        "(SELECT count(*) FROM objects WHERE account = accounts.id AND type = 'subscription') "
        "AS subscriptions FROM accounts ORDER BY created DESC LIMIT 100"
    )
    accounts = [{**dict(row), "since": format_date(row["created"])} for row in rows]
    return render_template("dashboard/accounts.html", accounts=accounts)


@bp.get("/accounts/<id>")
def show_account(id: str) -> str:
    with _transaction():
        account = _get_account(id)
        email = request.args.get("email", "").strip()
        customers = _find_customers(account, email)
        return render_template(
            "dashboard/account.html",
            account=account,
            email=email,
            customers=[_format_customer(account, customer) for customer in customers],
            events=_list_events(account, "1"),
            faults=injection.get_faults(account),
            fault_fields=event_descriptions.FAULT_FIELDS,
            endpoints=account.select("webhook_endpoint"),
        )


@bp.get("/accounts/<id>/customers/<customer_id>")
def show_customer(id: str, customer_id: str) -> str:
    with _transaction():
        return _render_customer(_get_account(id), customer_id)


@bp.post("/accounts/<id>/customers/<customer_id>/advance")
def advance(id: str, customer_id: str) -> BaseResponse | tuple[str, int]:
    """Advance the customer's time; the page shows the progress."""
    try:
        with _transaction():
            account = _get_account(id)
            customer = account.get_undeleted("customer", customer_id)
            time_travel.advance_customer(account, customer, request.form.get("step", ""))
    except StripeError as error:
        with _transaction():
            return _render_customer(_get_account(id), customer_id, error.message), 422
    return redirect(url_for(".show_customer", id=id, customer_id=customer_id), 303)


@bp.post("/accounts/<id>/customers/<customer_id>/payments/<charge_id>")
def change_payment(id: str, customer_id: str, charge_id: str) -> BaseResponse | tuple[str, int]:
    """Refund a payment, dispute it, or decide its dispute."""
    action = request.form.get("action", "")
    if action not in payments.ACTIONS:
        abort(400)
    try:
        with _transaction():
            account = _get_account(id)
            charge = account.find("charge", charge_id)
            if charge is None or charge["customer"] != customer_id:
                abort(404)
            payments.perform_action(account, charge, action)
    except StripeError as error:
        with _transaction():
            page = _render_customer(_get_account(id), customer_id, payment_message=error.message)
            return page, 422
    return redirect(
        url_for(".show_customer", id=id, customer_id=customer_id, _anchor="payments"), 303
    )


@bp.post("/accounts/<id>/customers/<customer_id>/card")
def set_card(id: str, customer_id: str) -> BaseResponse:
    """Give the customer another card: one that works, fails, or requires authentication."""
    with _transaction():
        account = _get_account(id)
        customer = account.get_undeleted("customer", customer_id)
        name = CARDS.get(request.form.get("card", "")) or abort(400)
        method = payment_methods.resolve_payment_method(
            account, name, "card", customer["test_clock"]
        )
        set_default_payment_method(account, customer, method)
    return redirect(url_for(".show_customer", id=id, customer_id=customer_id), 303)


@bp.post("/accounts/<id>/deliveries/<int:number>/redeliver")
def redeliver(id: str, number: int) -> BaseResponse:
    with _transaction():
        account = _get_account(id)
        webhook_sender.redeliver(account.store, id, number)
    return redirect(_get_return_url(id), 303)


@bp.post("/accounts/<id>/faults")
def set_faults(id: str) -> BaseResponse:
    """Set the faults: percentages in the form, rates in the settings."""
    names = (*injection.DELIVERY_FAULTS, *injection.CALL_FAULTS)
    seconds = min(_read_integer("slow_seconds"), MAX_SLOW_SECONDS)
    faults = injection.Faults(
        seed=_read_integer("seed"),
        slow_seconds=seconds or injection.Faults.slow_seconds,
        **{name: _read_percentage(name) for name in names},
    )
    with _transaction():
        injection.set_faults(_get_account(id), faults)
    return redirect(url_for(".show_account", id=id, _anchor="faults"), 303)


@bp.post("/accounts/<id>/settings")
def set_settings(id: str) -> BaseResponse:
    with _transaction():
        account = _get_account(id)
        after_retries = request.form.get("after_retries")
        if after_retries in ("cancel", "unpaid", "past_due"):
            account.settings["after_retries"] = after_retries
            account.save_settings()
    return redirect(url_for(".show_account", id=id), 303)


def _render_customer(
    account: Account, id: str, message: str | None = None, payment_message: str | None = None
) -> str:
    customer = account.find("customer", id) or abort(404)
    clock = account.find("test_helpers.test_clock", customer.get("test_clock") or "")
    subscriptions = account.select("subscription", "customer = ?", id)[::-1]
    return render_template(
        "dashboard/customer.html",
        account=account,
        customer=customer,
        clock=clock,
        now=format_time(account.now(customer.get("test_clock"))),
        progress=time_travel.get_progress(clock) if clock else 1,
        subscriptions=[_format_subscription(account, entry) for entry in subscriptions],
        card=_describe_card(account, customer, subscriptions),
        payments=payments.list_payments(account, id),
        events=_list_events(account, "customer = ?", id),
        message=message,
        payment_message=payment_message,
    )


def _find_customers(account: Account, email: str) -> list[Resource]:
    rows = account.store.fetch_all(
        "SELECT id, body FROM objects WHERE account = ? AND type = 'customer' "
        "AND status IS NOT 'deleted' AND (? = '' OR lookup LIKE ?) ORDER BY seq DESC LIMIT 50",
        account.id, email, f"%{email}%",
    )  # fmt: skip
    return [account.load_row("customer", row) for row in rows]


def _format_customer(account: Account, customer: Resource) -> dict[str, Any]:
    subscriptions = account.select("subscription", "customer = ?", customer["id"])
    return {
        "id": customer["id"],
        "email": customer["email"],
        "subscriptions": [_format_subscription(account, entry) for entry in subscriptions[::-1]],
    }


def _format_subscription(account: Account, subscription: Resource) -> dict[str, Any]:
    item = lifecycle.get_first_item(subscription)
    actions = sorted(
        [*lifecycle.list_upcoming_actions(subscription), *_list_retries(account, subscription)]
    )
    return {
        "id": subscription["id"],
        "status": subscription["status"],
        "label": get_status_label(subscription),
        "name": account.get("product", item["price"]["product"]).get("name"),
        "rate": invoice_lines.format_rate(item["price"]),
        "meaning": event_descriptions.STATUS_DESCRIPTIONS[subscription["status"]],
        "next": [
            (format_time(when), event_descriptions.ACTION_DESCRIPTIONS[action])
            for when, action in actions
        ],
    }


def _list_retries(account: Account, subscription: Resource) -> list[tuple[int, str]]:
    """Return the time of the newest invoice's next retry, if there is one."""
    invoice = account.find("invoice", subscription["latest_invoice"] or "")
    when = invoice and invoice["next_payment_attempt"]
    return [(when, "retry")] if when else []


def _describe_card(
    account: Account, customer: Resource, subscriptions: list[Resource]
) -> str | None:
    """Describe the card for renewals: that of the newest live subscription, or the customer's."""
    customer_default = (customer.get("invoice_settings") or {}).get("default_payment_method")
    defaults = [
        subscription["default_payment_method"]
        for subscription in subscriptions
        if not lifecycle.is_ended(subscription)
    ]
    id = next(filter(None, defaults), customer_default)
    return payment_methods.describe_method(account.get("payment_method", id)) if id else None


def _list_events(account: Account, where: str, *values: object) -> list[dict[str, Any]]:
    """Return the latest events with the state of their deliveries."""
    rows = account.store.fetch_all(
        "SELECT id, body FROM objects WHERE account = ? AND type = 'event' "  # noqa: S608 our own words
        f"AND {where} ORDER BY seq DESC LIMIT ?",
        account.id, *values, MAX_EVENTS,
    )  # fmt: skip
    return [_format_event(account, json.loads(row["body"])) for row in rows]


def _format_event(account: Account, event: Resource) -> dict[str, Any]:
    return {
        "id": event["id"],
        "type": event["type"],
        "when": format_time(event["created"]),
        "description": event_descriptions.describe(event),
        "customer": event["_internal"]["customer"],
        "json": json.dumps(event["data"], indent=2),
        "deliveries": webhook_sender.list_for_event(account.store, account.id, event["id"]),
    }


def _get_account(id: str) -> Account:
    sandbox = current_app.extensions["sandbox"]
    return find_account(sandbox.store, id, sandbox.now) or abort(404)


def _transaction() -> Any:
    return current_app.extensions["sandbox"].store.transaction()


def _get_return_url(id: str) -> str:
    """Return the URL of the page with the button."""
    customer = request.form.get("customer", "")
    if customer.startswith("cus_") and customer.isidentifier():
        return url_for(".show_customer", id=id, customer_id=customer)
    return url_for(".show_account", id=id)


def _read_percentage(name: str) -> float:
    return min(max(_read_integer(name), 0), 100) / 100


def _read_integer(name: str) -> int:
    text = request.form.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
