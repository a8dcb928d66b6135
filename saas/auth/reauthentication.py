"""Require a recent sign-in before operations that cannot be undone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import redirect, request, url_for
from flask_login import current_user

from saas import errors, security
from saas.database import now
from saas.errors import APIError

View = TypeVar("View", bound=Callable[..., Any])

MAX_AGE = timedelta(minutes=10)


def is_recent() -> bool:
    """Return whether this session started within the last ten minutes."""
    began = current_user.signed_in_at if current_user.is_authenticated else None
    return began is not None and began > now() - MAX_AGE


def reauthentication_required(view: View) -> View:
    """Require a recent sign-in; place this decorator below `login_required`.

    Users return to the page with the form; programs get 403 `sign_in_again`.
    """

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if is_recent():
            return view(*args, **kwargs)
        if errors.wants_json():
            raise APIError(403, "sign_in_again", "Sign in again to do this.")
        return redirect(url_for("auth.confirm", next=_form_page()), code=303)

    return guarded  # type: ignore[return-value]  # the same signature, by functools.wraps


def _form_page() -> str:
    """Return the current page, or the page that the form was sent from."""
    if request.method == "GET":
        return security.safe_path(request.full_path.rstrip("?"), request.path)
    sent_from = urlsplit(request.referrer or "")
    return security.safe_path(sent_from.path, url_for("users.settings"))
