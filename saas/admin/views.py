"""The overview, the list of users, and one user."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import abort, flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response

from saas import deadlines, limits, products
from saas.admin import actions, bp, explanations, health, search
from saas.admin.listing import PAGE, Page, csv_file
from saas.auth import accounts, audit, sessions, viewing
from saas.auth.models import User
from saas.billing import gateway, history, status, subscriptions
from saas.billing.models import StripeEvent
from saas.billing.revenue import figures
from saas.database import db
from saas.mail.models import OutboxMessage
from saas.security import Form
from saas.subscriber import STATUSES

_SHOWN = 20  # rows of each table on the page of a user
_TIMEOUT = 9.0  # seconds for a call to Stripe


@bp.get("")
def overview() -> str:
    """Show the stored figures; the first time, compute them."""
    shown = figures.latest() or figures.refresh()
    return render_template("admin/overview.html", figures=shown, problems=health.problems())


@bp.post("/refresh")
def refresh() -> Response:
    figures.refresh()
    return redirect(url_for("admin.overview"), code=303)


@bp.get("/movements.csv")
def movements_file() -> Response:
    """Download the movements of each month, by kind and currency."""
    shown = figures.latest() or figures.compute()
    rows = [
        (month.month, kind, currency, amount)
        for month in shown.months
        for kind, amounts in [*month.movements.items(), ("mrr at the end", month.mrr)]
        for currency, amount in amounts.items()
    ]
    return csv_file("movements", ("month", "kind", "currency", "amount in smallest unit"), rows)


@bp.get("/users")
def users() -> str:
    filters = _filters()
    if filters.q:
        found = search.matches(filters)
        page = Page(found[:PAGE], None)
        has_more = len(found) > PAGE
    else:
        page, has_more = filters.listing().page(request.args.get("after")), False
    return render_template(
        "admin/users.html",
        page=page,
        filters=filters,
        has_more=has_more,
        plans=products.catalogue().plans,
        statuses=STATUSES,
    )


@bp.get("/users.csv")
def users_file() -> Response:
    head = ("id", "email", "name", "role", "created", "disabled", "plan", "status", "price",
            "amount", "currency", "interval", "period ends", "ends", "customer", "subscription",
            "granted plan", "granted until")  # fmt: skip
    filters = _filters()
    rows = search.matches(filters) if filters.q else filters.listing().every()
    audit.note("export users", current_user.id, by=str(current_user.id))
    return csv_file("users", head, map(_as_row, rows))


@bp.get("/users/<uuid:user_id>")
def user(user_id: UUID) -> str:
    """Answer why a user has access; with `?stripe=1`, compare with what Stripe says now."""
    shown = db.session.get(User, user_id) or abort(404)
    accounts.load_sign_in_methods(shown)
    return render_template(
        "admin/user.html",
        user=shown,
        status=status.describe(shown),
        sources=explanations.sources_of(shown),
        stripe_url=explanations.stripe_url,
        stripe=_compared(shown) if request.args.get("stripe") else None,
        actions=actions.possible(shown),
        history=history.list_for_user(shown.id, _SHOWN),
        events=_events(shown),
        emails=_emails(shown),
        sessions=sessions.list_for_user(shown),
        audit=[(entry, audit.name_of(entry)) for entry in audit.history(shown.id)[-_SHOWN:]],
    )


@bp.post("/view-as/stop")
def stop_viewing() -> Response:
    """Show the administrator's own pages again."""
    if not Form().validate_on_submit():
        abort(422)
    viewed = current_user._get_current_object()
    viewing.end(viewed)
    if viewed.viewer is None:
        return redirect(url_for("users.dashboard"), code=303)
    flash("These are your own pages again.", "success")
    return redirect(url_for("admin.user", user_id=viewed.id), code=303)


def _filters() -> search.Filters:
    names = ("q", "plan", "status", "role", "account", "sort")
    given = {name: request.args[name] for name in names if request.args.get(name)}
    return search.Filters(**given)


def _compared(shown: User) -> dict[str, Any]:
    """Return the columns that differ from Stripe, or why Stripe cannot say."""
    limits.STRIPE_BY_USER.hit(f"admin:{current_user.id}")
    try:
        with deadlines.deadline(_TIMEOUT):
            return {"differences": subscriptions.differences(shown)}
    except gateway.StripeError as error:
        return {"error": gateway.describe(error)}


def _events(shown: User) -> list[StripeEvent]:
    if not shown.stripe_customer_id:
        return []
    mine = select(StripeEvent).where(StripeEvent.customer_id == shown.stripe_customer_id)
    newest = mine.order_by(StripeEvent.received_at.desc()).limit(_SHOWN)
    return list(db.session.scalars(newest))


def _emails(shown: User) -> list[OutboxMessage]:
    mine = select(OutboxMessage).where(OutboxMessage.subject_id == shown.id)
    return list(db.session.scalars(mine.order_by(OutboxMessage.id.desc()).limit(_SHOWN)))


def _as_row(each: User) -> tuple[Any, ...]:
    charge = each.recurring
    return (
        str(each.id), each.email, each.name, each.role, each.created_at, each.disabled_at,
        each.plan.id, each.stripe_subscription_status, each.stripe_price_id,
        charge.amount if charge else None, charge.currency if charge else None,
        charge.interval if charge else None, each.stripe_current_period_end,
        each.stripe_cancel_at, each.stripe_customer_id, each.stripe_subscription_id,
        each.granted_plan, each.granted_until,
    )  # fmt: skip
