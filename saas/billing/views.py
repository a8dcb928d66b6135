"""Billing pages. They call Stripe only when a user is sent there or returns, and for invoices."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from flask import abort, current_app, flash, redirect, render_template, request, url_for
from flask_login import current_user, login_required
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response

from saas import deadlines, limits, products
from saas.billing import bp, checkout, gateway, history, purchases, status, subscriptions
from saas.billing import invoices as invoicing
from saas.billing.access import QuotaExhausted
from saas.billing.checkout import CheckoutError
from saas.billing.customers import Subscriber
from saas.billing.forms import CheckoutForm
from saas.plans import Plan

Answer = str | Response | tuple[str, int]

_TIMEOUT = 9.0  # seconds until a page reports that Stripe is not responding


def _hit_limit() -> None:
    """Limit how often a user causes calls to Stripe, per page; raise 429."""
    limits.STRIPE_BY_USER.hit(f"{request.endpoint}:{current_user.id}")


@bp.app_context_processor
def add_subscription_status() -> dict[str, Any]:
    """Provide `subscription_status()` to all templates."""
    # Not the proxy, which looks up the user at each of about thirty attributes.
    return {
        "subscription_status": cache(lambda: status.describe(current_user._get_current_object()))
    }


@bp.get("/dashboard/billing")
@login_required
def overview() -> Answer:
    plan, interval = current_user.displayed_plan, current_user.interval
    return render_template(
        "billing/overview.html",
        plan=plan,
        interval=interval,
        granted=current_user.granted,
        is_highest=products.catalogue().is_highest(plan),
        history=history.list_for_user(current_user.id),
    )


@bp.get("/dashboard/billing/invoices")
@login_required
def invoices() -> Answer:
    """Show the invoices. This page calls Stripe; Billing itself does not, so it always opens."""
    _hit_limit()
    before, after = request.args.get("before", ""), request.args.get("after", "")
    try:
        with deadlines.deadline(_TIMEOUT):
            page = invoicing.page(current_user, before=before, after=after)
    except gateway.StripeError as error:
        if gateway.is_refusal(error):
            raise
        _log(error)
        return render_template("billing/invoices.html", page=None), 503
    return render_template("billing/invoices.html", page=page, statuses=invoicing.STATUSES)


@bp.get("/dashboard/billing/receipts/<session_id>")
@login_required
def receipt(session_id: str) -> Answer:
    """Redirect to the receipt of a one-time payment, at Stripe."""
    _hit_limit()
    with deadlines.deadline(_TIMEOUT):
        page = purchases.receipt_url(current_user, session_id)
    if page is None:
        abort(404)
    return redirect(page, code=303)


@bp.post("/billing/checkout")
@login_required
def start_checkout() -> Answer:
    _hit_limit()
    form = CheckoutForm()
    if not form.validate_on_submit():
        problems = [str(message) for messages in form.errors.values() for message in messages]
        flash("Choose a plan and how it is billed. " + " ".join(problems), "error")
        return redirect(url_for("site.pricing"), code=303)

    with deadlines.deadline(_TIMEOUT):
        page = checkout.checkout_url(
            current_user, form.plan.data, form.interval.data, form.nonce.data or ""
        )
    return redirect(page, code=303)


@bp.post("/billing/portal")
@login_required
def portal() -> Answer:
    _hit_limit()
    with deadlines.deadline(_TIMEOUT):
        page = checkout.portal_url(current_user)
    return redirect(page, code=303)


@bp.post("/billing/resume")
@login_required
def resume() -> Answer:
    """Resume a paused subscription, or ask for the payment method that it needs."""
    _hit_limit()
    with deadlines.deadline(_TIMEOUT):
        page = checkout.resume_url(current_user)
    return redirect(page, code=303)


@bp.get("/billing/return")
@login_required
def returned() -> Answer:
    """Handle the return from Checkout or the portal: always sync the user, for any URL."""
    had, session_id = current_user.plan, request.args.get("session_id", "")
    try:
        _hit_limit()
        with deadlines.deadline(_TIMEOUT):
            user = subscriptions.sync(current_user.id, cause="return")
    except TooManyRequests as error:
        return _not_yet("limited", 429, retry_after=error.retry_after)
    except gateway.StripeError as error:
        _log(error)
        return _not_yet("refused" if gateway.is_refusal(error) else "away")
    if user:
        _thank(user, had, session_id, is_once="once" in request.args)
    return redirect(url_for("billing.overview"), code=303)


def _thank(user: Subscriber, had: Plan, session_id: str, *, is_once: bool) -> None:
    """Tell the user whether the payment has arrived, after Checkout or a change in the portal.

    The webhook may have been quicker than the browser, so the plan may be the new one already.
    """
    bought = next(
        (plan for purchase, plan in user.purchases if purchase.session == session_id), None
    )
    if bought:
        flash(f"You have bought {bought.name}. Thank you!", "success")
    elif not is_once and user.has_paid_subscription and (session_id or user.plan != had):
        flash(f"You're now on {user.plan.name}. Thank you!", "success")
    elif user.is_paused and request.args.get("saved") == "card":
        flash("Your payment method is saved. You can continue with your plan now.", "info")
    elif session_id and (is_once or not user.is_subscribed):
        flash("Your payment isn't confirmed yet. Your plan starts as soon as it is.", "info")


def _not_yet(why: str, status: int = 200, retry_after: object = None) -> Response:
    """Show the page of a user whose payment is not confirmed yet; the plan follows by webhook."""
    page = render_template("billing/return.html", why=why)
    headers = {"Retry-After": str(retry_after)} if retry_after else None
    return Response(page, status=status, headers=headers, mimetype="text/html")


@bp.app_errorhandler(QuotaExhausted)
def exhausted(error: QuotaExhausted) -> Answer:
    return render_template("billing/exhausted.html", is_monthly=error.is_monthly), 403


@bp.errorhandler(CheckoutError)
def explain(error: CheckoutError) -> Answer:
    flash(str(error), "error")
    return redirect(url_for("billing.overview"), code=303)


@bp.errorhandler(gateway.StripeError)
def unavailable(error: gateway.StripeError) -> Answer:
    """Show an error page: Stripe is unreachable, or refused the request."""
    _log(error)
    kind = "refused" if gateway.is_refusal(error) else "unavailable"
    return render_template(f"billing/{kind}.html"), 503


def _log(error: gateway.StripeError) -> None:
    """Log the reason for operators; refusals need action."""
    level = logging.ERROR if gateway.is_refusal(error) else logging.WARNING
    current_app.logger.log(level, "%s: %s", request.endpoint, gateway.describe(error))
