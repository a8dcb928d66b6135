"""Send sign-in emails, and redirect to the page that waits for the code."""

from __future__ import annotations

import secrets

from flask import redirect, session, url_for
from werkzeug.wrappers import Response

from saas.auth import magic_links


def send_sign_in_email(email: str, next_path: str) -> Response:
    """Enqueue a sign-in email, and redirect to the page for its code."""
    session.setdefault("browser", secrets.token_urlsafe(16))
    magic_links.send(email, next_path, session["browser"])
    return redirect(url_for("auth.check_inbox"), code=303)
