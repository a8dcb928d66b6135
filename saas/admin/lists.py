"""Events, emails and the audit log: what happened, and what failed."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import Select, func, select
from werkzeug.wrappers import Response

from saas import deadlines
from saas.admin import bp
from saas.admin.forms import ReplayForm
from saas.admin.listing import Listing, csv_file, kept_filters
from saas.auth import audit
from saas.auth.models import AuditEntry, User
from saas.billing import events, gateway
from saas.billing.models import StripeEvent
from saas.billing.operator import backfill
from saas.database import db
from saas.mail import outbox
from saas.mail.models import OutboxMessage

_REPLAYED_AT_ONCE = 20  # each takes a call or two to Stripe
_TIMEOUT = 20.0  # seconds for all of them

EVENT_STATES = {"failed": "Failed", "waiting": "Waiting", "applied": "Applied"}
EMAIL_STATES = {"failed": "Failed", "waiting": "Waiting", "sent": "Sent"}


@bp.get("/events", endpoint="events")
def list_events() -> str:
    listing = events_listing()
    return render_template(
        "admin/events.html",
        page=listing.page(request.args.get("after")),
        states=EVENT_STATES,
        types=events.HANDLED_TYPES,
        failed=_count(_in_state(select(func.count()).select_from(StripeEvent), "failed")),
        state_of=_event_state,
    )


@bp.get("/events.csv")
def events_file() -> Response:
    head = ("received", "type", "event", "customer", "state", "attempts", "last error")
    rows = (
        (row.received_at, row.type, row.id, row.customer_id, _event_state(row), row.attempts,
         row.last_error)
        for row in events_listing().every()
    )  # fmt: skip
    return csv_file("events", head, rows)


@bp.post("/events/replay")
def replay_events() -> Response:
    """Apply one event again, or the oldest of those that failed."""
    form = ReplayForm()
    if not form.validate_on_submit():
        abort(422)
    ids = [form.event.data] if form.event.data else _failed_ids()
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
        page=emails_listing().page(request.args.get("after")),
        states=EMAIL_STATES,
        kinds=outbox.kinds(),
        state_of=_email_state,
    )


@bp.get("/emails.csv")
def emails_file() -> Response:
    head = ("created", "kind", "about", "state", "sent", "attempts", "last error")
    rows = (
        (row.created_at, row.kind, str(row.subject_id), _email_state(row), row.handed_over_at,
         row.attempts, row.last_error)
        for row in emails_listing().every()
    )  # fmt: skip
    return csv_file("emails", head, rows)


@bp.post("/emails/<uuid:message_id>/send")
def send_email_again(message_id: uuid.UUID) -> Response:
    message = db.session.get(OutboxMessage, message_id) or abort(404)
    kind, subject_id = message.kind, message.subject_id
    outbox.send_again(message)
    audit.note(f"resend {kind}", subject_id, by=str(current_user.id))
    flash(f"The email “{kind}” is sent again.", "success")
    return redirect(url_for("admin.emails", **kept_filters()), code=303)


@bp.get("/audit")
def audit_log() -> str:
    page = audit_listing().page(request.args.get("after"))
    return render_template("admin/audit.html", page=page, names=_names(page.rows))


@bp.get("/audit.csv")
def audit_file() -> Response:
    head = ("at", "actor", "action", "user", "reason")
    rows = (
        (row.at, row.actor, row.action, str(row.subject_id), row.reason)
        for row in audit_listing().every()
    )
    return csv_file("audit-log", head, rows)


def events_listing() -> Listing:
    """Return the events that match the filters of this request, newest first."""
    query = _in_state(select(StripeEvent), request.args.get("state", ""))
    if kind := request.args.get("type"):
        query = query.where(StripeEvent.type == kind)
    if customer := request.args.get("customer"):
        query = query.where(StripeEvent.customer_id == customer)
    return Listing(query, (StripeEvent.received_at, StripeEvent.id), _time_and_id)


def _in_state(query: Select[Any], state: str) -> Select[Any]:
    if state == "applied":
        return query.where(StripeEvent.processed_at.isnot(None))
    if state == "failed":
        return query.where(StripeEvent.processed_at.is_(None), StripeEvent.attempts > 0)
    if state == "waiting":
        return query.where(StripeEvent.processed_at.is_(None), StripeEvent.attempts == 0)
    return query


def _event_state(row: StripeEvent) -> str:
    if row.processed_at:
        return "applied"
    return "failed" if row.attempts else "waiting"


def _failed_ids() -> list[str]:
    failed = _in_state(select(StripeEvent.id), "failed").order_by(StripeEvent.received_at)
    return list(db.session.scalars(failed.limit(_REPLAYED_AT_ONCE)))


def _replay(event_id: str) -> str | None:
    """Apply an event again; return why it failed, or None."""
    try:
        backfill.replay(event_id)
    except backfill.UnknownEvent:
        return "unknown both here and in Stripe, which keeps events for 30 days"
    except gateway.StripeError as error:
        return gateway.describe(error)
    return None


def emails_listing() -> Listing:
    """Return the emails that match the filters of this request, newest first."""
    query = select(OutboxMessage)
    state = request.args.get("state", "")
    if state == "waiting":
        query = query.where(OutboxMessage.due_at.isnot(None))
    if state == "failed":
        query = query.where(OutboxMessage.last_error.isnot(None))
    if state == "sent":
        query = query.where(OutboxMessage.handed_over_at.isnot(None))
    if kind := request.args.get("kind"):
        query = query.where(OutboxMessage.kind == kind)
    return Listing(query, (OutboxMessage.id,), _id)


def _email_state(row: OutboxMessage) -> str:
    if row.handed_over_at:
        return "sent"
    if row.is_waiting:
        return "failed" if row.last_error else "waiting"
    return "failed" if row.last_error else "skipped"


def audit_listing() -> Listing:
    """Return the audit entries that match the filters of this request, newest first."""
    query = select(AuditEntry)
    if action := request.args.get("action"):
        query = query.where(AuditEntry.action.startswith(action, autoescape=True))
    for name, column in (("actor", AuditEntry.actor), ("user", AuditEntry.subject_id)):
        if typed := request.args.get(name, "").strip():
            query = query.where(column == _user_id(typed, as_text=name == "actor"))
    return Listing(query, (AuditEntry.id,), _id)


def _user_id(typed: str, *, as_text: bool) -> Any:
    """Return the id that an email, an id or "operator" means; one of nobody if there is none."""
    if as_text and typed == audit.OPERATOR:
        return typed
    found = db.session.scalar(select(User.id).where(User.email == typed.lower()))
    try:
        user_id = found or uuid.UUID(typed)
    except ValueError:
        user_id = uuid.UUID(int=0)
    return str(user_id) if as_text else user_id


def _names(rows: Any) -> dict[str, str]:
    """Return the emails of actors and users by id as text."""
    ids = {row.subject_id for row in rows}
    ids |= {uuid.UUID(row.actor) for row in rows if row.actor != audit.OPERATOR}
    found = db.session.execute(select(User.id, User.email).where(User.id.in_(ids)))
    return {str(row.id): row.email for row in found}


def _count(query: Select[Any]) -> int:
    return db.session.scalar(query) or 0


def _id(cursor: str) -> tuple[uuid.UUID]:
    return (uuid.UUID(cursor),)


def _time_and_id(cursor: str) -> tuple[datetime, str]:
    at, _, event_id = cursor.partition("~")
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None:
        raise ValueError(cursor)
    return moment, event_id
