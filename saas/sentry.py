"""Send errors to Sentry if `SENTRY_DSN` is set, without personal data."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, g, has_request_context

from saas import logs


def init_app(app: Flask) -> None:
    """Send records of level ERROR and above, with traceback, request id and user id.

    The requests themselves, local variables and breadcrumbs are not sent: they contain personal
    data. https://docs.sentry.io/platforms/python/data-management/data-collected/
    """
    if not app.config["SENTRY_DSN"]:
        return
    import sentry_sdk  # an extra; `saas.config` checks that it is installed
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=app.config["SENTRY_DSN"],
        environment=app.config["SAAS_ENV"],
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[LoggingIntegration(level=None, event_level=logging.ERROR)],
        include_local_variables=False,
        max_request_body_size="never",
        before_send=_prepare,
    )


def _prepare(event: Any, hint: Any) -> Any:
    """Add request id and user id, and remove email addresses and secrets from all texts."""
    if has_request_context():
        event.setdefault("tags", {})["request_id"] = logs.request_id()
        user = g.get("_login_user")  # Flask-Login's; not loaded for this, the database may be down
        if getattr(user, "is_authenticated", False):
            event["user"] = {"id": str(user.id)}
    return _clean(event)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return logs.without_addresses(logs.without_secrets(value))
    if isinstance(value, dict):
        return {name: _clean(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_clean(part) for part in value]
    return value
