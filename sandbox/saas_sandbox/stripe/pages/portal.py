"""The customer portal: plan, payment method, invoices."""

from typing import Any

from flask import Blueprint, abort, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from saas_sandbox.stripe.api.resources.invoice_preview import preview_change
from saas_sandbox.stripe.engine import (
    customers,
    invoice_lines,
    lifecycle,
    payment_methods,
    portal_settings,
    subscription_updates,
)
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.default_payment_method import set_default_payment_method
from saas_sandbox.stripe.engine.errors import StripeError, invalid
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.pages import card_form
from saas_sandbox.stripe.pages.labels import format_date, get_status_label
from saas_sandbox.stripe.pages.page_lookup import open_page

bp = Blueprint("portal", __name__, url_prefix="/stripe/portal")

KIND = "billing_portal.session"
Page = str | tuple[str, int] | BaseResponse


@bp.get("/<id>")
def show(id: str) -> Page:
    with open_page(KIND, id) as (account, session):
        flow = session["flow"]
        if flow and not session["_internal"].get("flow_done"):
            return redirect(_flow_url(session, flow), 303)
        return render_template("portal.html", **_home_context(account, session))


@bp.get("/<id>/<subscription_id>/plans")
def plans(id: str, subscription_id: str) -> Page:
    with open_page(KIND, id) as (account, session):
        subscription = _find_subscription(account, session, subscription_id)
        return render_template(
            "portal_plans.html",
            session=session,
            subscription=subscription,
            offers=_list_offers(account, session, subscription),
        )


@bp.get("/<id>/<subscription_id>/change")
def change_form(id: str, subscription_id: str) -> Page:
    """Show the proration before the change is confirmed."""
    with open_page(KIND, id) as (account, session):
        subscription = _find_subscription(account, session, subscription_id)
        return _render_confirmation(account, session, subscription, request.args.get("price", ""))


@bp.post("/<id>/<subscription_id>/change")
def change(id: str, subscription_id: str) -> Page:
    price = request.form.get("price", "")
    try:
        with open_page(KIND, id) as (account, session):
            subscription = _find_subscription(account, session, subscription_id)
            item_change = _build_item_change(account, session, subscription, price)
            _apply_change(account, session, subscription, item_change)
            return _finish(account, session)
    except StripeError as error:
        return _show_change_error(id, subscription_id, price, error.message)


@bp.get("/<id>/<subscription_id>/cancel")
def cancel_form(id: str, subscription_id: str) -> Page:
    with open_page(KIND, id) as (account, session):
        subscription = _find_subscription(account, session, subscription_id)
        features = _get_features(account, session)["subscription_cancel"]
        return render_template(
            "portal_cancel.html",
            session=session,
            subscription=subscription,
            ends=format_date(lifecycle.get_period_end(subscription)),
            features=features,
        )


@bp.post("/<id>/<subscription_id>/cancel")
def cancel(id: str, subscription_id: str) -> Page:
    with open_page(KIND, id) as (account, session):
        subscription = _find_subscription(account, session, subscription_id)
        features = _get_features(account, session)["subscription_cancel"]
        details = subscription["cancellation_details"]
        details["feedback"] = _read_feedback(features) or details["feedback"]
        details["comment"] = request.form.get("comment", "").strip()[:500] or details["comment"]
        if features["mode"] == "immediately" or request.form.get("when") == "now":
            lifecycle.cancel_subscription(account, subscription)
        else:
            at = lifecycle.get_period_end(subscription)
            lifecycle.schedule_cancel(account, subscription, at, period_end=False)
            lifecycle.save_subscription(account, subscription)
        return _finish(account, session)


@bp.post("/<id>/<subscription_id>/resume")
def resume(id: str, subscription_id: str) -> Page:
    with open_page(KIND, id) as (account, session):
        subscription = _find_subscription(account, session, subscription_id)
        lifecycle.unschedule_cancel(subscription)
        lifecycle.save_subscription(account, subscription)
        return redirect(_home_url(session), 303)


@bp.get("/<id>/card")
def show_card_form(id: str) -> Page:
    with open_page(KIND, id) as (_, session):
        return render_template("portal_card.html", session=session)


@bp.post("/<id>/card")
def save_card(id: str) -> Page:
    """Make a new card the default of the customer and of every live subscription."""
    try:
        with open_page(KIND, id) as (account, session):
            _save_card(account, session)
            return _finish(account, session)
    except StripeError as error:
        with open_page(KIND, id) as (_, session):
            page = render_template("portal_card.html", session=session, message=error.message)
            return page, 422


@bp.post("/<id>/details")
def update_details(id: str) -> Page:
    """Update the name and address that the configuration allows to be changed."""
    try:
        with open_page(KIND, id) as (account, session):
            customer = account.get_undeleted("customer", session["customer"])
            for name in _editable_details(account, session):
                customer[name] = customers.validate_field(name, request.form.get(name, "").strip())
            customer["_internal"]["lookup"] = customer["email"]
            account.save(customer, "customer.updated")
            return redirect(_home_url(session), 303)
    except StripeError as error:
        page = render_template("message.html", title="Not saved", message=error.message)
        return page, 422


def _home_context(account: Account, session: Resource) -> dict[str, Any]:
    customer = account.get("customer", session["customer"])
    subscriptions = account.select("subscription", "customer = ?", customer["id"])[::-1]
    default = customer.get("invoice_settings", {}).get("default_payment_method")
    return {
        "session": session,
        "customer": customer,
        "features": _get_features(account, session),
        "changeable": _editable_details(account, session),
        "subscriptions": [_format_subscription(account, s) for s in subscriptions],
        "cards": [
            {"name": payment_methods.describe_method(method), "default": method["id"] == default}
            for method in account.select("payment_method", "customer = ?", customer["id"])
        ],
        "invoices": [
            {
                "number": invoice["number"],
                "date": format_date(invoice["created"]),
                "total": invoice_lines.format_money(invoice["total"], invoice["currency"]),
                "status": invoice["status"],
                "url": invoice["hosted_invoice_url"],
            }
            for invoice in account.select("invoice", "customer = ?", customer["id"])[::-1]
            if invoice["status"] != "draft"
        ],
    }


def _format_subscription(account: Account, subscription: Resource) -> dict[str, Any]:
    item = lifecycle.get_first_item(subscription)
    ends = subscription["cancel_at"]
    return {
        "id": subscription["id"],
        "name": account.get("product", item["price"]["product"]).get("name"),
        "rate": invoice_lines.format_rate(item["price"]),
        "status": subscription["status"],
        "label": get_status_label(subscription),
        "over": lifecycle.is_ended(subscription),
        "ends": format_date(ends) if ends else None,
        "renews": format_date(lifecycle.get_period_end(subscription)),
    }


def _flow_url(session: Resource, flow: dict[str, Any]) -> str:
    """Return the URL of the flow's first page; other pages are unavailable until it is done."""
    home, kind = _home_url(session), flow["type"]
    if kind == "payment_method_update":
        return f"{home}/card"
    subscription = flow[kind]["subscription"]
    if kind == "subscription_cancel":
        return f"{home}/{subscription}/cancel"
    if kind == "subscription_update":
        return f"{home}/{subscription}/plans"
    return f"{home}/{subscription}/change?price={flow[kind]['items'][0]['price']}"


def _finish(account: Account, session: Resource) -> BaseResponse:
    """Redirect to the return URL of the flow, if any, otherwise to the portal."""
    flow = session["flow"]
    if not flow or session["_internal"].get("flow_done"):
        return redirect(_home_url(session), 303)

    session["_internal"]["flow_done"] = True
    account.save(session)
    after = flow["after_completion"]
    if after["type"] == "redirect":
        return redirect(after["redirect"]["return_url"], 303)
    return redirect(_home_url(session), 303)


def _home_url(session: Resource) -> str:
    return f"/stripe/portal/{session['id']}"


def _get_configuration(account: Account, session: Resource) -> Resource:
    return account.get(portal_settings.KIND, session["configuration"])


def _get_features(account: Account, session: Resource) -> dict[str, Any]:
    features: dict[str, Any] = _get_configuration(account, session)["features"]
    return features


def _editable_details(account: Account, session: Resource) -> list[str]:
    """Return the details that are single-line texts."""
    update = _get_features(account, session)["customer_update"]
    allowed = update["allowed_updates"] if update["enabled"] else []
    return [name for name in ("name", "email") if name in allowed]


def _find_subscription(account: Account, session: Resource, id: str) -> Resource:
    """Return a live subscription of the session's customer."""
    subscription = account.find("subscription", id)
    if subscription is None or lifecycle.is_ended(subscription):
        abort(404)
    if subscription["customer"] != session["customer"]:
        abort(404)
    return subscription


def _list_offers(
    account: Account, session: Resource, subscription: Resource
) -> list[dict[str, Any]]:
    """Return the offered prices, with the current one marked."""
    current_price = lifecycle.get_first_item(subscription)["price"]["id"]
    offers = []
    for product in portal_settings.list_offered_products(_get_configuration(account, session)):
        for id in product["prices"]:
            price = account.get("price", id)
            if price["active"] or id == current_price:
                name = account.get("product", price["product"]).get("name")
                offers.append(
                    {
                        "price": id,
                        "name": name,
                        "rate": invoice_lines.format_rate(price),
                        "present": id == current_price,
                    }
                )
    return offers


def _build_item_change(
    account: Account, session: Resource, subscription: Resource, price: str
) -> subscription_updates.ItemChange:
    """Return the change to a price, if it may be chosen here."""
    flow = session["flow"] or {}
    linked = (flow.get("subscription_update_confirm") or {}).get("items") or [{}]
    allowed = {offer["price"] for offer in _list_offers(account, session, subscription)}
    if price not in allowed and price != linked[0].get("price"):
        raise invalid("This plan is not available.")
    item = lifecycle.get_first_item(subscription)
    if item["price"]["id"] == price:
        raise invalid("This is already your plan.")
    return subscription_updates.ItemChange(item["id"], account.get("price", price), None)


def _get_proration(account: Account, session: Resource) -> subscription_updates.Proration:
    behaviour: subscription_updates.Proration = _get_features(account, session)[
        "subscription_update"
    ]["proration_behavior"]
    return behaviour


def _apply_change(
    account: Account,
    session: Resource,
    subscription: Resource,
    item_change: subscription_updates.ItemChange,
) -> None:
    if subscription["status"] == "trialing":
        trial = _get_features(account, session)["subscription_update"]["trial_update_behavior"]
        if trial == "end_trial":
            now = account.now(subscription["test_clock"])
            subscription_updates.change_items(account, subscription, [item_change])
            subscription_updates.end_trial_now(account, subscription, now)
            return
    subscription_updates.change_items(
        account,
        subscription,
        [item_change],
        proration=_get_proration(account, session),
        behaviour="error_if_incomplete",
    )


def _render_confirmation(
    account: Account,
    session: Resource,
    subscription: Resource,
    price: str,
    message: str | None = None,
) -> Page:
    item_change = _build_item_change(account, session, subscription, price)
    invoice = preview_change(
        account, subscription["id"], item_change, _get_proration(account, session)
    )
    new_price = account.get("price", price)
    return render_template(
        "portal_change.html",
        session=session,
        subscription=subscription,
        price=price,
        name=account.get("product", new_price["product"]).get("name"),
        rate=invoice_lines.format_rate(new_price),
        present=_format_subscription(account, subscription),
        lines=[_format_line(line) for line in invoice["lines"]["data"]],
        due=invoice_lines.format_money(invoice["amount_due"], invoice["currency"]),
        now=invoice["billing_reason"] == "subscription_update",
        message=message,
    )


def _format_line(line: Resource) -> dict[str, str]:
    amount = invoice_lines.format_money(line["amount"], line["currency"])
    return {"text": line["description"], "amount": amount}


def _show_change_error(id: str, subscription_id: str, price: str, message: str) -> Page:
    with open_page(KIND, id) as (account, session):
        subscription = _find_subscription(account, session, subscription_id)
        try:
            return _render_confirmation(account, session, subscription, price, message), 422  # type: ignore[return-value]
        except StripeError:
            page = render_template("message.html", title="Not changed", message=message)
            return page, 422


def _read_feedback(features: dict[str, Any]) -> str | None:
    feedback = request.form.get("feedback")
    return feedback if feedback in features["cancellation_reason"]["options"] else None


def _save_card(account: Account, session: Resource) -> None:
    customer = account.get_undeleted("customer", session["customer"])
    set_default_payment_method(
        account, customer, card_form.create_payment_method(account, customer["test_clock"])
    )
