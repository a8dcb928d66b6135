"""The list of users, one user, and the actions on one user."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import abort, flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from werkzeug.wrappers import Response

from saas import deadlines, limits, products
from saas.admin import actions, bp, explanations, queries, search
from saas.admin.forms import ActionForm
from saas.admin.listing import PAGE, Page, csv_file
from saas.admin.views import note_file
from saas.auth import accounts, audit, sessions
from saas.auth.models import User
from saas.billing import gateway, history, status, subscriptions
from saas.subscriber import STATUSES

_SHOWN = 20  # rows of each table on the page of a user
_TIMEOUT = 9.0  # seconds for a call to Stripe


@bp.get("/users", endpoint="users")
def list_users() -> str:
    filters = _filters()
    if filters.q:
        users = search.matches(filters)
        page = Page(users[:PAGE], None)
        has_more = len(users) > PAGE
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
            "amount in smallest unit", "currency", "interval", "monthly amount in smallest unit",
            "period ends", "ends",
            "customer", "subscription", "granted plan", "granted until")  # fmt: skip
    filters = _filters()
    rows = search.matches(filters, limit=None) if filters.q else filters.listing().every()
    note_file("users")
    return csv_file("users", head, map(_as_row, rows))


@bp.get("/users/<uuid:user_id>", endpoint="user")
def show_user(user_id: UUID) -> str | tuple[str, int]:
    """Answer why a user has access; with `?stripe=1`, compare with what Stripe says now."""
    user = queries.user(user_id)
    if user is None:
        return render_template("admin/unknown_user.html", user_id=user_id), 404
    accounts.load_sign_in_methods(user)
    return render_template(
        "admin/user.html",
        user=user,
        status=status.describe(user),
        sources=explanations.sources_of(user),
        stripe_url=explanations.stripe_url,
        stripe=_compared(user) if request.args.get("stripe") else None,
        actions=actions.possible(user),
        history=history.list_for_user(user.id, _SHOWN),
        events=queries.events_of(user, _SHOWN),
        emails=queries.emails_of(user, _SHOWN),
        sessions=sessions.list_for_user(user),
        audit=[(entry, audit.name_of(entry)) for entry in audit.history(user.id)[-_SHOWN:]],
    )


@bp.route("/users/<uuid:user_id>/<action>", methods=["GET", "POST"])
def act(user_id: UUID, action: str) -> str | Response | tuple[str, int]:
    """Ask for a confirmation, and perform the action."""
    user = queries.user(user_id) or abort(404)
    chosen = actions.ACTIONS.get(action) or abort(404)
    form = chosen.form(**actions.defaults(user, action))
    if not actions.is_possible(user, action):
        flash(f"“{chosen.label}” is not possible now.", "error")
        return redirect(url_for("admin.user", user_id=user_id), code=303)
    if not form.validate_on_submit():
        return _page(user, action, form, 422 if form.is_submitted() else 200)
    try:
        with deadlines.deadline(_TIMEOUT):
            done = chosen.perform(user, form)
    except actions.REFUSALS as error:
        flash(str(error), "error")
        return _page(user, action, form, 409)
    except (InvalidRequestError, IntegrityError):
        flash("The account was deleted in the meantime.", "error")
        return redirect(url_for("admin.users"), code=303)
    except gateway.StripeError as error:
        flash(f"Stripe did not accept this: {gateway.describe(error)}. Try again.", "error")
        return _page(user, action, form, 503)
    if not isinstance(done, str):
        return done
    flash(done, "success")
    exists = queries.user(user_id) is not None
    return redirect(
        url_for("admin.user", user_id=user_id) if exists else url_for("admin.users"), code=303
    )


def _page(user: User, name: str, form: ActionForm, status: int) -> tuple[str, int]:
    page = render_template(
        "admin/action.html",
        user=user,
        action=actions.ACTIONS[name],
        consequence=actions.consequence(user, name),
        form=form,
    )
    return page, status


def _filters() -> search.Filters:
    names = ("q", "plan", "status", "role", "account", "sort")
    values = {name: request.args[name] for name in names if request.args.get(name)}
    return search.Filters(**values)


def _compared(user: User) -> dict[str, Any]:
    """Return the columns that differ from Stripe, or why Stripe cannot say."""
    limits.STRIPE_BY_USER.hit(f"admin:{current_user.id}")
    try:
        with deadlines.deadline(_TIMEOUT):
            differences = subscriptions.differences(user)
            return {"differences": differences, "end": explanations.end_of_subscription(user)}
    except gateway.StripeError as error:
        return {"error": gateway.describe(error)}


def _as_row(user: User) -> tuple[Any, ...]:
    charge = user.recurring
    return (
        str(user.id), user.email, user.name, user.role, user.created_at, user.disabled_at,
        user.plan.id, user.stripe_subscription_status, user.stripe_price_id,
        charge.amount if charge else None, charge.currency if charge else None,
        charge.interval if charge else None, user.stripe_monthly_amount,
        user.stripe_current_period_end, user.stripe_cancel_at, user.stripe_customer_id,
        user.stripe_subscription_id, user.granted_plan, user.granted_until,
    )  # fmt: skip
