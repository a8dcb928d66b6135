"""Events, emails and the audit log: what happened, and what failed."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from saas import deadlines
from saas.admin import bp, queries
from saas.admin.forms import ReplayForm
from saas.admin.listing import Listing, csv_file
from saas.admin.views import kept_filters, note_file
from saas.auth import audit
from saas.billing import events, gateway
from saas.billing.operator import backfill
from saas.mail import outbox

log = logging.getLogger("saas.admin")

_REPLAYED_AT_ONCE = 20  # each takes a call or two to Stripe
_TIMEOUT = 20.0  # seconds for all of them

EVENT_STATES = {"failed": "Failed", "waiting": "Waiting", "applied": "Applied"}
EMAIL_STATES = {"failed": "Failed", "waiting": "Waiting", "sent": "Sent"}
AGES = {"hour": "Last hour", "day": "Last day", "week": "Last week"}


@bp.get("/events", endpoint="events")
def list_events() -> str:
    page = queries.events(request.args).page(request.args.get("after"))
    return render_template(
        "admin/events.html",
        page=page,
        customers=queries.customers(page.rows),
        states=EVENT_STATES,
        ages=AGES,
        types=events.HANDLED_TYPES,
        failed=queries.count_failed_events(),
        state_of=queries.event_state,
    )


@bp.get("/events.csv")
def events_file() -> Response:
    note_file("events")
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
    me = str(current_user.id)
    what = f"{form.event.data}" if form.event.data else f"{len(ids)} failed events"
    audit.note("replay", current_user.id, by=me, reason=what[: audit.LONGEST_REASON])
    with deadlines.deadline(_TIMEOUT):
        outcomes = {event_id: _replay(event_id) for event_id in ids}
    for event_id, (is_applied, words) in list(outcomes.items())[:_REPLAYED_AT_ONCE]:
        flash(f"{event_id}: {words}", "success" if is_applied else "error")
    if not ids:
        flash("No event has failed.", "info")
    return redirect(url_for("admin.events", **kept_filters()), code=303)


@bp.get("/emails")
def emails() -> str:
    page = queries.emails(request.args).page(request.args.get("after"))
    return render_template(
        "admin/emails.html",
        page=page,
        recipients=queries.recipients(page.rows),
        states=EMAIL_STATES,
        ages=AGES,
        kinds=outbox.kinds(),
        state_of=queries.email_state,
    )


@bp.get("/emails.csv")
def emails_file() -> Response:
    note_file("emails")
    head = ("created", "kind", "about", "email", "state", "sent", "attempts", "last error")
    return csv_file("emails", head, _email_rows(queries.emails(request.args)))


@bp.post("/emails/<uuid:message_id>/send")
def send_email_again(message_id: uuid.UUID) -> Response:
    message = queries.email(message_id) or abort(404)
    kind, label, subject_id = message.kind, message.label, message.subject_id
    if not outbox.send_again(message):
        flash(f"The email “{label}” is not needed any more, so it is not sent.", "error")
    else:
        audit.note(f"resend {kind}", subject_id, by=str(current_user.id))
        flash(f"The email “{label}” is sent again.", "success")
    return redirect(url_for("admin.emails", **kept_filters()), code=303)


@bp.get("/audit")
def audit_log() -> str:
    page = queries.audit_entries(request.args).page(request.args.get("after"))
    return render_template("admin/audit.html", page=page, names=queries.names_in(page.rows))


@bp.get("/audit.csv")
def audit_file() -> Response:
    note_file("audit log")
    head = ("at", "actor", "actor's email", "action", "user", "user's email", "reason")
    return csv_file("audit-log", head, _audit_rows(queries.audit_entries(request.args)))


def _email_rows(listing: Listing) -> Iterator[tuple[Any, ...]]:
    """Yield the outbox with the emails of the accounts that still exist."""
    for rows in listing.batches():
        recipients = queries.recipients(rows)
        for row in rows:
            yield (
                row.created_at, row.kind, str(row.subject_id), recipients.get(row.subject_id),
                queries.email_state(row), row.handed_over_at, row.attempts, row.last_error,
            )  # fmt: skip


def _audit_rows(listing: Listing) -> Iterator[tuple[Any, ...]]:
    """Yield the entries with the emails of the accounts that still exist."""
    for rows in listing.batches():
        names = queries.names_in(rows)
        for row in rows:
            user = str(row.subject_id)
            yield (
                row.at, row.actor, names.get(row.actor, ""), row.action, user,
                names.get(user, ""), row.reason,
            )  # fmt: skip


def _replay(event_id: str) -> tuple[bool, str]:
    """Apply an event again; return whether it has its effect now, and what became of it."""
    try:
        return True, f"{backfill.replay(event_id)}."
    except backfill.UnknownEvent:
        return False, "unknown both here and in Stripe, which keeps events for 30 days."
    except gateway.StripeError as error:
        return False, gateway.describe(error)
    except Exception as error:  # one that fails must not stop the others; it is recorded there
        log.exception("an event could not be replayed", extra={"event_id": event_id})
        return False, f"{type(error).__name__}, see the log."
