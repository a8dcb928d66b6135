"""The overview, and the end of viewing as a user."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_login import current_user
from werkzeug.wrappers import Response

from saas.admin import bp, figures, health
from saas.admin.listing import csv_file
from saas.auth import audit, viewing
from saas.security import Form
from saas.template_filters import email

LINKS = (
    ("overview", "Overview", "gauge"),
    ("users", "Users", "users"),
    ("events", "Events", "webhook"),
    ("emails", "Emails", "mail"),
    ("audit_log", "Audit log", "shield-check"),
)
_FILTERS = (
    "q", "plan", "status", "role", "account", "sort", "state", "type", "kind", "customer", "action",
    "actor", "user", "age",
)  # fmt: skip


def kept_filters() -> dict[str, Any]:
    """Return the filters of this request, for the URL of another page or file of the same list."""
    return {name: request.args[name] for name in _FILTERS if request.args.get(name)}


def note_file(name: str) -> None:
    """Record that the administrator downloads a file, with its filters."""
    filters = " ".join(f"{key}={value}" for key, value in kept_filters().items())
    me = current_user
    audit.note(f"download {name}", me.id, by=str(me.id), reason=filters[: audit.LONGEST_REASON])


@bp.record_once
def _add_template_globals(state: BlueprintSetupState) -> None:
    state.app.jinja_env.globals.update(admin_links=LINKS, kept_filters=kept_filters)


@bp.get("")
def overview() -> str:
    """Show the stored figures; without any, let a worker compute them."""
    latest = figures.latest()
    if latest is None:
        figures.refresh_soon()
        latest = figures.latest()  # there already if jobs run inline
    return render_template("admin/overview.html", figures=latest, problems=health.problems())


@bp.post("/refresh")
def refresh() -> Response:
    figures.refresh_soon()
    flash("The figures are being computed. Reload the page in a moment.", "info")
    return redirect(url_for("admin.overview"), code=303)


@bp.get("/figures.csv")
def figures_file() -> Response:
    """Download the figures: totals, plans, new users by day, and movements by month."""
    note_file("figures")
    latest = figures.latest()
    rows = latest.as_rows() if latest else []
    head = ("section", "of", "what", "currency", "value in smallest unit")
    return csv_file("figures", head, rows)


@bp.post("/view-as/stop")
def stop_viewing() -> Response:
    """Show the administrator's own pages again."""
    if not Form().validate_on_submit():
        abort(422)
    viewed = current_user._get_current_object()
    viewing.end(viewed)
    if viewed.viewer is None:
        return redirect(url_for("users.dashboard"), code=303)
    flash(f"You stopped viewing as {email(viewed.email)}.", "success")
    return redirect(url_for("admin.user", user_id=viewed.id), code=303)
