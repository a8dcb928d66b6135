"""The control panel: what happened to a subscription and why, and controls."""

import json
from typing import Any

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from saas_sandbox.stripe import webhook_sender
from saas_sandbox.stripe.accounts import find_account
from saas_sandbox.stripe.dashboard import event_descriptions
from saas_sandbox.stripe.engine import invoice_lines, lifecycle, payment_methods, time_travel
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.default_payment_method import set_default_payment_method
from saas_sandbox.stripe.engine.errors import StripeError
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.faults import injection
from saas_sandbox.stripe.pages.labels import format_date, format_time, get_status_label

bp = Blueprint("panel", __name__, url_prefix="/stripe")

AT_ONCE = 60
LONGEST_WAIT = 120
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
    return render_template("panel.html", accounts=accounts)


@bp.get("/accounts/<id>")
def account(id: str) -> str:
    with _unit():
        found = _account(id)
        wanted = request.args.get("email", "").strip()
        return render_template(
            "panel_account.html",
            account=found,
            wanted=wanted,
            customers=[_customer_line(found, c) for c in _customers(found, wanted)],
            events=_events(found, "1"),
            weather=injection.get_faults(found),
            knobs=event_descriptions.FAULTS,
            endpoints=found.select("webhook_endpoint"),
        )


@bp.get("/accounts/<id>/customers/<customer>")
def customer(id: str, customer: str) -> str:
    with _unit():
        found = _account(id)
        return _customer_page(found, customer)


@bp.post("/accounts/<id>/customers/<customer>/advance")
def advance(id: str, customer: str) -> BaseResponse | tuple[str, int]:
    """Advance the customer's time; the page shows the progress."""
    try:
        with _unit():
            found = _account(id)
            who = found.get_undeleted("customer", customer)
            time_travel.advance_customer(found, who, request.form.get("step", ""))
    except StripeError as error:
        with _unit():
            return _customer_page(_account(id), customer, error.message), 422
    return redirect(url_for(".customer", id=id, customer=customer), 303)


@bp.post("/accounts/<id>/customers/<customer>/card")
def card(id: str, customer: str) -> BaseResponse:
    """Give the customer another card: one that works, fails, or requires authentication."""
    with _unit():
        found = _account(id)
        who = found.get_undeleted("customer", customer)
        name = CARDS.get(request.form.get("card", "")) or abort(400)
        clock = who["test_clock"]
        set_default_payment_method(
            found, who, payment_methods.resolve_payment_method(found, name, "card", clock)
        )
    return redirect(url_for(".customer", id=id, customer=customer), 303)


@bp.post("/accounts/<id>/deliveries/<int:number>/redeliver")
def redeliver(id: str, number: int) -> BaseResponse:
    store = current_app.extensions["sandbox"].store
    with _unit():
        _account(id)
        webhook_sender.redeliver(store, id, number)
    return redirect(_back(id), 303)


@bp.post("/accounts/<id>/chaos")
def weather(id: str) -> BaseResponse:
    """Set the faults: percentages in the form, rates in the settings."""
    with _unit():
        found = _account(id)
        shares = {
            name: _percent(name) for name in (*injection.DELIVERY_FAULTS, *injection.CALL_FAULTS)
        }
        seconds = min(_whole("slow_seconds"), LONGEST_WAIT) or injection.Faults.slow_seconds
        wanted = injection.Faults(seed=_whole("seed"), slow_seconds=seconds, **shares)
        injection.set_faults(found, wanted)
    return redirect(url_for(".account", id=id, _anchor="chaos"), 303)


@bp.post("/accounts/<id>/settings")
def settings(id: str) -> BaseResponse:
    with _unit():
        found = _account(id)
        wanted = request.form.get("after_retries")
        if wanted in ("cancel", "unpaid", "past_due"):
            found.settings["after_retries"] = wanted
            found.save_settings()
    return redirect(url_for(".account", id=id), 303)


def _customer_page(account: Account, id: str, message: str | None = None) -> str:
    found = account.find("customer", id) or abort(404)
    clock = account.find("test_helpers.test_clock", found.get("test_clock") or "")
    living = account.select("subscription", "customer = ?", id)[::-1]
    return render_template(
        "panel_customer.html",
        account=account,
        customer=found,
        clock=clock,
        now=format_time(account.now(found.get("test_clock"))),
        share=time_travel.get_progress(clock) if clock else 1,
        subscriptions=[_subscription(account, subscription) for subscription in living],
        card=_card(account, found, living),
        events=_events(account, "customer = ?", id),
        message=message,
    )


def _customers(account: Account, wanted: str) -> list[Resource]:
    rows = account.store.fetch_all(
        "SELECT id, body FROM objects WHERE account = ? AND type = 'customer' "
        "AND status IS NOT 'deleted' AND (? = '' OR lookup LIKE ?) ORDER BY seq DESC LIMIT 50",
        account.id, wanted, f"%{wanted}%",
    )  # fmt: skip
    return [account.load_row("customer", row) for row in rows]


def _customer_line(account: Account, customer: Resource) -> dict[str, Any]:
    subscriptions = account.select("subscription", "customer = ?", customer["id"])
    return {
        "id": customer["id"],
        "email": customer["email"],
        "subscriptions": [_subscription(account, s) for s in subscriptions[::-1]],
    }


def _subscription(account: Account, subscription: Resource) -> dict[str, Any]:
    item = lifecycle.get_first_item(subscription)
    coming = sorted(
        [*lifecycle.list_upcoming_actions(subscription), *_retry(account, subscription)]
    )
    return {
        "id": subscription["id"],
        "status": subscription["status"],
        "words": get_status_label(subscription),
        "name": account.get("product", item["price"]["product"]).get("name"),
        "rate": invoice_lines.format_rate(item["price"]),
        "meaning": event_descriptions.STATUS[subscription["status"]],
        "next": [(format_time(when), event_descriptions.UPCOMING[verb]) for when, verb in coming],
    }


def _retry(account: Account, subscription: Resource) -> list[tuple[int, str]]:
    """Return when the newest invoice is retried, if it is."""
    invoice = account.find("invoice", subscription["latest_invoice"] or "")
    when = invoice and invoice["next_payment_attempt"]
    return [(when, "retry")] if when else []


def _card(account: Account, customer: Resource, subscriptions: list[Resource]) -> str | None:
    """Return what pays renewals: the card of the newest live subscription, or the customer's."""
    own = [each["default_payment_method"] for each in subscriptions if not lifecycle.is_ended(each)]
    theirs = (customer.get("invoice_settings") or {}).get("default_payment_method")
    wanted = next(filter(None, own), theirs)
    return (
        payment_methods.describe_method(account.get("payment_method", wanted)) if wanted else None
    )


def _events(account: Account, where: str, *values: object) -> list[dict[str, Any]]:
    """Return the latest events with the state of their deliveries."""
    rows = account.store.fetch_all(
        "SELECT id, body FROM objects WHERE account = ? AND type = 'event' "  # noqa: S608 our own words
        f"AND {where} ORDER BY seq DESC LIMIT ?",
        account.id, *values, AT_ONCE,
    )  # fmt: skip
    return [_event(account, json.loads(row["body"])) for row in rows]


def _event(account: Account, event: Resource) -> dict[str, Any]:
    return {
        "id": event["id"],
        "type": event["type"],
        "when": format_time(event["created"]),
        "words": event_descriptions.describe(event),
        "customer": event["_internal"]["customer"],
        "json": json.dumps(event["data"], indent=2),
        "deliveries": webhook_sender.list_for_event(account.store, account.id, event["id"]),
    }


def _account(id: str) -> Account:
    sandbox = current_app.extensions["sandbox"]
    return find_account(sandbox.store, id, sandbox.now) or abort(404)


def _unit() -> Any:
    return current_app.extensions["sandbox"].store.transaction()


def _back(id: str) -> str:
    """Redirect to the page with the button, if it is one of ours."""
    customer = request.form.get("customer", "")
    if customer.startswith("cus_") and customer.isidentifier():
        return url_for(".customer", id=id, customer=customer)
    return url_for(".account", id=id)


def _percent(name: str) -> float:
    return min(max(_whole(name), 0), 100) / 100


def _whole(name: str) -> int:
    text = request.form.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
