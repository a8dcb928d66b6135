"""What an administrator does to one user. Each action asks once, and says what follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import redirect, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from saas import database
from saas.admin import emails
from saas.admin.forms import ActionForm, GrantForm, ReasonForm
from saas.auth import accounts, audit, roles, sessions, viewing
from saas.auth.models import User
from saas.billing import grants, subscriptions
from saas.database import db
from saas.mail import outbox
from saas.template_filters import day_utc, email
from saas.users import account_deletion
from saas.users.export import export_user

# Performs the action, and returns what to say; or the response, such as a file.
Perform = Callable[[User, Any], str | Response]  # with its own form


@dataclass(frozen=True)
class Action:
    """An action: its button, its consequence in words, and when it is possible."""

    label: str
    consequence: str
    perform: Perform
    form: type[ActionForm] = ActionForm
    is_possible: Callable[[User], bool] = lambda user: True
    is_dangerous: bool = False
    icon: str = "arrow-right"


class ActionRefused(Exception):
    """The action is not possible; the message says why."""


def possible(user: User) -> list[tuple[str, Action]]:
    """Return the actions that are possible for a user, by name."""
    return [(name, action) for name, action in ACTIONS.items() if is_possible(user, name)]


def is_possible(user: User, name: str) -> bool:
    """Return whether an action is possible. Some are not on the own account."""
    own = user.id == current_user.id and name in _NOT_ON_ONESELF
    return not own and ACTIONS[name].is_possible(user)


def consequence(user: User, name: str) -> str:
    """Say in words what follows from an action on this user."""
    text = ACTIONS[name].consequence
    if name == "grant" and user.granted:
        until = f"until {day_utc(user.granted_until)}" if user.granted_until else "for good"
        text += f" This replaces the grant of {user.granted.name} {until}."
    if name == "resend-email" and (message := outbox.latest(user.id)):
        text += f" It is “{message.label}” of {day_utc(message.created_at)}."
    return text


def defaults(user: User, name: str) -> dict[str, Any]:
    """Return the values with which the form of an action begins."""
    if name != "grant" or not user.granted:
        return {}
    return {"plan": user.granted_plan, "until": user.granted_until and user.granted_until.date()}


_NOT_ON_ONESELF = ("demote", "disable", "delete", "end-sessions")  # these are in the settings
_DELETION_FAILED = {
    "stripe_refused": "Stripe rejected the cancellation, so nothing was deleted. Cancel the "
    "subscription in Stripe's Dashboard, then try again.",
    "stripe_unreachable": "Stripe isn't responding, so nothing was deleted. Try again in a minute.",
    "closing": "The account is being deleted, and Stripe hasn't confirmed it yet. It finishes by "
    "itself.",
}

REFUSALS = (
    ActionRefused,
    accounts.AccountError,
    grants.GrantError,
)


def _actor() -> str:
    return str(current_user.id)


def _reason(form: ReasonForm) -> str:
    return form.reason.data or ""


def _sync(user: User, form: ActionForm) -> str:
    before = user.plan
    audit.note("sync", user.id, by=_actor())
    subscriptions.sync(user.id, cause="admin sync")
    db.session.refresh(user)
    if user.plan == before:
        return f"The columns match Stripe. {email(user.email)} is on {user.plan.name}, as before."
    return f"{email(user.email)} is now on {user.plan.name}."


def _grant(user: User, form: GrantForm) -> str:
    grants.grant(user, form.plan.data, reason=_reason(form), until=form.ends_at, by=_actor())
    granted = user.granted
    if granted is None or user.plan == granted:
        return f"{email(user.email)} is now on {user.plan.name}."
    stays = f"{email(user.email)} stays on {user.plan.name}, which is higher."
    return f"{granted.name} is granted. {stays}"


def _revoke(user: User, form: ReasonForm) -> str:
    grants.revoke(user, reason=_reason(form), by=_actor())
    return f"{email(user.email)} is now on {user.plan.name}."


def _promote(user: User, form: ReasonForm) -> str:
    roles.promote(user, by=_actor(), reason=_reason(form))
    return f"{email(user.email)} is now an administrator."


def _demote(user: User, form: ReasonForm) -> str:
    roles.demote(user, by=_actor(), reason=_reason(form))
    return f"{email(user.email)} is now an ordinary user."


def _disable(user: User, form: ReasonForm) -> str:
    roles.disable(user, by=_actor(), reason=_reason(form))
    return f"{email(user.email)} is disabled and signed out everywhere."


def _enable(user: User, form: ActionForm) -> str:
    roles.enable(user, by=_actor())
    return f"{email(user.email)} can sign in again."


def _end_sessions(user: User, form: ReasonForm) -> str:
    count = sessions.revoke_others(user)
    audit.note("end sessions", user.id, by=_actor(), reason=_reason(form))
    return f"Ended {count} session{'s'[: count != 1]} of {email(user.email)}."


def _resend(user: User, form: ActionForm) -> str:
    message = outbox.latest(user.id)
    if message is None:
        raise ActionRefused("There is no email to send again. Sign-in emails are not counted.")
    if not outbox.send_again(message):
        raise ActionRefused(f"The email “{message.label}” is not needed any more: it is not sent.")
    audit.note(f"resend {message.kind}", user.id, by=_actor())
    return f"The email “{message.label}” is sent again."


def _export(user: User, form: ReasonForm) -> Response:
    everything = json.dumps(export_user(user), indent=2, ensure_ascii=False)
    audit.note("export", user.id, by=_actor(), reason=_reason(form))
    attached = {"Content-Disposition": f'attachment; filename="{user.id}.json"'}
    return Response(everything, headers=attached, mimetype="application/json")


def _view_as(user: User, form: ReasonForm) -> Response:
    with database.write_transaction():
        viewing.start(current_user, user, reason=_reason(form))
        emails.notify(user)
    return redirect(url_for("users.dashboard"), code=303)


def _delete(user: User, form: ReasonForm) -> str:
    former_email = email(user.email)
    try:
        account_deletion.delete_account(user, by=_actor(), reason=_reason(form))
    except account_deletion.DeletionFailed as error:
        raise ActionRefused(_DELETION_FAILED.get(error.code, str(error))) from None
    return f"The account of {former_email} was deleted."


ACTIONS = {
    "sync": Action(
        "Sync with Stripe",
        "Fetches the state from Stripe and copies it to this account. Nothing is changed in "
        "Stripe, unless something was paid for twice: that is refunded.",
        _sync,
        is_possible=lambda user: user.stripe_customer_id is not None,
        icon="refresh-cw",
    ),
    "grant": Action(
        "Grant a plan",
        "Gives a plan free of charge. A subscription continues, and the higher plan counts. "
        "The user sees it under Billing; no email is sent.",
        _grant,
        GrantForm,
        icon="sparkles",
    ),
    "revoke-grant": Action(
        "Revoke the granted plan",
        "Ends the granted plan now. A subscription or purchase stays.",
        _revoke,
        ReasonForm,
        lambda user: user.granted is not None,
        icon="undo-2",
    ),
    "view-as": Action(
        "View as this user",
        "Shows the pages as this user sees them, for at most an hour. Nothing can be changed. "
        "Settings, invoices and the data export are not shown.",
        _view_as,
        ReasonForm,
        lambda user: not user.is_admin,
        icon="eye",
    ),
    "resend-email": Action(
        "Send the last email again",
        "Composes the newest email to this user again, with today's facts, and sends it now.",
        _resend,
        icon="mail",
    ),
    "export": Action(
        "Export their data",
        "Downloads everything that is stored about this user, as they can do in their settings.",
        _export,
        ReasonForm,
        icon="download",
    ),
    "end-sessions": Action(
        "End all sessions",
        "Signs this user out of all browsers. They can sign in again. API tokens stay valid.",
        _end_sessions,
        ReasonForm,
        icon="log-out",
    ),
    "promote": Action(
        "Make an administrator",
        "Gives access to these pages, and so to the data of all users. Ends their sessions.",
        _promote,
        ReasonForm,
        lambda user: not user.is_admin and not user.disabled_at and not user.is_closing,
        is_dangerous=True,
        icon="shield",
    ),
    "demote": Action(
        "Make an ordinary user",
        "Takes the role of an administrator away, and ends their sessions.",
        _demote,
        ReasonForm,
        lambda user: user.is_admin,
        is_dangerous=True,
        icon="user",
    ),
    "disable": Action(
        "Disable the account",
        "Signs this user out everywhere and blocks every way to sign in. Nothing is deleted. A "
        "subscription continues and is charged: cancel it in Stripe if it should not.",
        _disable,
        ReasonForm,
        lambda user: user.disabled_at is None,
        is_dangerous=True,
        icon="ban",
    ),
    "enable": Action(
        "Enable the account",
        "Lets this user sign in again.",
        _enable,
        ActionForm,
        lambda user: user.disabled_at is not None,
        icon="check",
    ),
    "delete": Action(
        "Close the account",
        "Cancels the subscription in Stripe without a refund, then deletes all data of this user. "
        "This cannot be undone. The user gets an email. The audit log keeps the reason, so do not "
        "name the user in it.",
        _delete,
        ReasonForm,
        is_dangerous=True,
        icon="trash-2",
    ),
}
