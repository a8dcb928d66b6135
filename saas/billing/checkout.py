"""Sell subscriptions and one-time plans, and manage them, on Stripe's pages."""

from __future__ import annotations

import logging
import uuid
from functools import partial

from flask import current_app

from saas import products, security
from saas.billing import customers, gateway, purchases, subscriptions
from saas.billing.customers import Subscriber
from saas.database import db
from saas.plans import Plan, Trial

log = logging.getLogger("saas.billing")

_ATTEMPTS = 6


class CheckoutError(Exception):
    """The user cannot start a subscription now; the message says why."""


def checkout_url(user: Subscriber, plan_id: str, interval: str, nonce: str) -> str:
    """Return the URL of Checkout, or of the portal for existing subscribers.

    `nonce` identifies the submitted form, so that a double click opens one page and not two.
    """
    if user.is_closing:
        raise CheckoutError("This account is being deleted.")
    plan, price = products.catalogue().by_id[plan_id], price_for(plan_id, interval)
    user = subscriptions.sync(user.id, cause="checkout") or user
    if user.is_subscribed and not plan.is_one_time:
        return portal_url(user, price)
    if owned := purchases.covering(user, plan):
        raise CheckoutError(_already_bought(owned, plan))

    back = security.public_url("site.pricing", plan=plan_id, interval=interval)
    trial = user.trial(plan)
    return _checkout(user, plan, price, trial, f"{nonce}:{price}:{_offer(trial)}", back)


def _already_bought(owned: Plan, plan: Plan) -> str:
    if owned == plan:
        return f"You have bought {plan.name} already."
    return f"{owned.name} includes everything in {plan.name}, so nothing was bought."


def _offer(trial: Trial | None) -> str:
    """Return what makes two checkout pages of a price different."""
    if trial is None:
        return "0"
    return f"{trial.days}" if trial.card_required else f"{trial.days}-no-card"


def _checkout(
    user: Subscriber, plan: Plan, price: str, trial: Trial | None, nonce: str, back: str
) -> str:
    """Return the URL of the open checkout page of this form, and expire all others.

    A request finishes only when the list shows a single open page. Concurrent requests, in any
    number of processes, therefore leave one page open: of those created at the same time, the
    newest.
    """
    customer_id = _customer_id(user)
    made: gateway.CheckoutSession | None = None
    for _ in range(_ATTEMPTS):
        pages = gateway.list_checkout_sessions(customer_id)
        open_page = _session_to_keep(pages, None if made else nonce)
        if open_page is None:
            # Pages of this form that were paid or expired, for example after the back button.
            used_up = sum(page.nonce == nonce for page in pages)
            made = _create_session(
                user, plan, price, trial=trial, nonce=nonce, used_up=used_up, back=back
            )
            continue
        others = [page for page in pages if page.is_open and page is not open_page]
        if not others:
            return _page_if_bought(user, plan, price, pages) or open_page.url
        for page in others:
            gateway.expire_checkout_session(page.id)
    if made is None:
        raise CheckoutError("Another checkout was started in the meantime. Try again.")
    return made.url


def _session_to_keep(
    pages: list[gateway.CheckoutSession], nonce: str | None
) -> gateway.CheckoutSession | None:
    """Return the newest open page in Stripe's order; with a nonce, the newest of this form."""
    opened = (page for page in pages if page.is_open and nonce in (None, page.nonce))
    return next(opened, None)


def _create_session(
    user: Subscriber,
    plan: Plan,
    price: str,
    *,
    trial: Trial | None,
    nonce: str,
    used_up: int,
    back: str,
) -> gateway.CheckoutSession:
    customer_id = _customer_id(user)
    page = gateway.create_checkout_session(
        customer_id=customer_id,
        price_id=price,
        trial=trial,
        is_one_time=plan.is_one_time,
        metadata={**customers.metadata_for(user), "nonce": nonce},
        key=f"checkout:{customer_id}:{nonce}:{used_up}",
        success_url=_return_url(is_once=plan.is_one_time),
        cancel_url=back,
    )
    _refuse_if_closing(user.id, page)
    return page


def _page_if_bought(
    user: Subscriber, plan: Plan, price: str, pages: list[gateway.CheckoutSession]
) -> str | None:
    """Return where to go if one of the pages was paid in the meantime, None otherwise.

    This way nothing is bought twice, and a trial that began on one page is not offered on another.
    """
    if not any(page.is_complete for page in pages):
        return None
    user = subscriptions.sync(user.id, cause="checkout") or user
    is_covered = purchases.covering(user, plan) is not None
    if not is_covered and (plan.is_one_time or not user.is_subscribed):
        return None
    for page in pages:
        if page.is_open:
            gateway.expire_checkout_session(page.id)
    return security.public_url("billing.overview") if is_covered else portal_url(user, price)


def _refuse_if_closing(user_id: uuid.UUID, page: gateway.CheckoutSession) -> None:
    """Refuse the page if the account's deletion began while the page was being created."""
    user = db.session.get(Subscriber, user_id, populate_existing=True)
    if user is None or user.is_closing:
        gateway.expire_checkout_session(page.id)
        raise CheckoutError("This account is being deleted.")


def portal_url(user: Subscriber, price: str | None = None) -> str:
    """Return the URL of the customer portal; with a price, of its page for changing to it."""
    if not user.stripe_customer_id:
        raise CheckoutError("You don't have a subscription yet.")
    back = security.public_url("billing.returned")
    portal = partial(gateway.create_portal_session, user.stripe_customer_id, return_url=back)
    if price and user.stripe_subscription_id and price != user.stripe_price_id:
        try:
            return portal(change=(user.stripe_subscription_id, price))
        except (gateway.InvalidRequest, gateway.NotFound) as error:
            # Stripe refuses changes of subscriptions that are ending or cannot be changed here.
            log.info("the portal did not open at the plan change: %s", error)
    try:
        return portal()
    except gateway.NotFound:
        subscriptions.sync(
            user.id, cause="portal"
        )  # the customer was deleted in Stripe, and the event has not arrived
        raise CheckoutError("There is no longer a subscription to manage.") from None


def resume_url(user: Subscriber) -> str:
    """Resume a paused subscription, which charges it, and return the URL of Billing.

    Without a payment method, nothing is resumed; return the URL of the page that asks for one.
    """
    user = subscriptions.sync(user.id, cause="resume") or user
    subscription_id = user.stripe_subscription_id
    if user.is_paused and subscription_id and user.stripe_customer_id:
        if gateway.missing_payment_method(subscription_id):
            back = security.public_url("billing.returned", saved="card")
            portal = gateway.create_portal_session
            return portal(user.stripe_customer_id, return_url=back, asks_for_card=True)
        try:  # a second click finds the same counter
            gateway.resume(subscription_id, f"resume:{subscription_id}:{user.stripe_sync_counter}")
        except gateway.InvalidRequest as error:  # it was resumed or canceled in the meantime
            log.info("subscription %s could not be resumed: %s", subscription_id, error)
        subscriptions.sync(user.id, cause="resume")
    return security.public_url("billing.overview")


def _customer_id(user: Subscriber) -> str:
    try:
        return customers.ensure_customer(user)
    except customers.AccountClosing:
        raise CheckoutError("This account is being deleted.") from None


def price_for(plan_id: str, interval: str) -> str:
    """Return the price that is sold for a plan. Raises `NotConfigured` if there is none."""
    prices = current_app.config["STRIPE_PRICES"].get((plan_id, interval))
    if not prices:
        raise gateway.NotConfigured(f"no price is configured for {plan_id} {interval}")
    return str(prices[0])


def _return_url(*, is_once: bool) -> str:
    page = security.public_url("billing.returned") + "?session_id={CHECKOUT_SESSION_ID}"
    return f"{page}&once=1" if is_once else page
