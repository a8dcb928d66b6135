"""Events, emails and the audit log: what happened, and what failed."""

from __future__ import annotations

import uuid

from flask import abort, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from saas import deadlines
from saas.admin import bp, queries
from saas.admin.forms import ReplayForm
from saas.admin.listing import csv_file
from saas.admin.views import kept_filters
from saas.auth import audit
from saas.billing import events, gateway
from saas.billing.operator import backfill
from saas.mail import outbox

_REPLAYED_AT_ONCE = 20  # each takes a call or two to Stripe
_TIMEOUT = 20.0  # seconds for all of them

EVENT_STATES = {"failed": "Failed", "waiting": "Waiting", "applied": "Applied"}
EMAIL_STATES = {"failed": "Failed", "waiting": "Waiting", "sent": "Sent"}


@bp.get("/events", endpoint="events")
def list_events() -> str:
    listing = queries.events(request.args)
    return render_template(
        "admin/events.html",
        page=listing.page(request.args.get("after")),
        states=EVENT_STATES,
        types=events.HANDLED_TYPES,
        failed=queries.count_failed_events(),
        state_of=queries.event_state,
    )


@bp.get("/events.csv")
def events_file() -> Response:
    head = ("received", "type", "event", "customer", "state", "attempts", "last error")
    rows = (
        (row.received_at, row.type, row.id, row.customer_id, queries.event_state(row), row.attempts,
         row.last_error)
        for row in queries.events(request.args).every()
    )  # fmt: skip
    return csv_file("events", head, rows)


@bp.post("/events/replay")
def replay_events() -> Response:
    """Apply one event again, or the oldest of those that failed."""
    form = ReplayForm()
    if not form.validate_on_submit():
        abort(422)
    ids = [form.event.data] if form.event.data else queries.failed_events(_REPLAYED_AT_ONCE)
    failures = {}
    with deadlines.deadline(_TIMEOUT):
        for event_id in ids:
            if failure := _replay(event_id):
                failures[event_id] = failure
    applied = len(ids) - len(failures)
    if applied:
        flash(f"Applied {applied} event{'s'[: applied != 1]}.", "success")
    for event_id, failure in list(failures.items())[:3]:
        flash(f"{event_id}: {failure}.", "error")
    if not ids:
        flash("No event has failed.", "info")
    return redirect(url_for("admin.events", **kept_filters()), code=303)


@bp.get("/emails")
def emails() -> str:
    return render_template(
        "admin/emails.html",
        page=queries.emails(request.args).page(request.args.get("after")),
        states=EMAIL_STATES,
        kinds=outbox.kinds(),
        state_of=queries.email_state,
    )


@bp.get("/emails.csv")
def emails_file() -> Response:
    head = ("created", "kind", "about", "state", "sent", "attempts", "last error")
    rows = (
        (row.created_at, row.kind, str(row.subject_id), queries.email_state(row),
         row.handed_over_at, row.attempts, row.last_error)
        for row in queries.emails(request.args).every()
    )  # fmt: skip
    return csv_file("emails", head, rows)


@bp.post("/emails/<uuid:message_id>/send")
def send_email_again(message_id: uuid.UUID) -> Response:
    message = queries.email(message_id) or abort(404)
    kind, subject_id = message.kind, message.subject_id
    outbox.send_again(message)
    audit.note(f"resend {kind}", subject_id, by=str(current_user.id))
    flash(f"The email “{kind}” is sent again.", "success")
    return redirect(url_for("admin.emails", **kept_filters()), code=303)


@bp.get("/audit")
def audit_log() -> str:
    page = queries.audit_entries(request.args).page(request.args.get("after"))
    return render_template("admin/audit.html", page=page, names=queries.names_in(page.rows))


@bp.get("/audit.csv")
def audit_file() -> Response:
    head = ("at", "actor", "action", "user", "reason")
    rows = (
        (row.at, row.actor, row.action, str(row.subject_id), row.reason)
        for row in queries.audit_entries(request.args).every()
    )
    return csv_file("audit-log", head, rows)


def _replay(event_id: str) -> str | None:
    """Apply an event again; return why it failed, or None."""
    try:
        backfill.replay(event_id)
    except backfill.UnknownEvent:
        return "unknown both here and in Stripe, which keeps events for 30 days"
    except gateway.StripeError as error:
        return gateway.describe(error)
    return None
