"""Logs: one line of JSON per record, with the id of its request.

In development, records are lines of text with ordinary tracebacks.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import uuid
from datetime import UTC, datetime

from flask import Flask, Response, g, has_request_context, request

_EXTRA = (
    "request_id", "event_id", "event_type", "user_id", "viewer_id", "customer_id", "outcome",
    "seconds", "job", "method", "route", "status", "milliseconds", "bytes", "repeated",
)  # fmt: skip
_NOISE = re.compile(r"GET /(static/|healthz)|development server|CTRL\+C")
# Secrets that sign a user in: tokens of emailed links, and parameters of provider callbacks.
_SECRET = re.compile(
    r"(/+auth/+(?:link/+|email/+(?:undo/+)?)|[?&;](?:code|state)=)[^\s?&;\"]+", re.IGNORECASE
)
_ENCODED = re.compile(
    r"%(?:25)*([2-7][0-9a-f])", re.IGNORECASE
)  # ASCII, even if encoded several times
_MAILBOX = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")
_REPORT_EVERY = 60.0  # seconds between reports of an outage
_reported: dict[str, tuple[float, int]] = {}  # when it was last reported, and how often not since
_IN_MESSAGE = ("request_id", "method", "route", "status")  # or of no use in a terminal
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def init_app(app: Flask) -> None:
    """Give every request an id, and write the log to standard error."""
    app.before_request(_name_request)
    app.after_request(_describe_request)
    logging.getLogger("werkzeug").addFilter(_reduce_noise)
    logger = logging.getLogger("saas")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(formatter(app.config["SAAS_ENV"]))
        logger.addHandler(handler)
        queue_logger = logging.getLogger("huey")
        queue_logger.setLevel(logging.WARNING)
        queue_logger.addHandler(handler)
        handler.addFilter(_count_repetition)
    app.logger = logger


def formatter(environment: str) -> logging.Formatter:
    """Return the formatter for a value of `SAAS_ENV`."""
    return ConsoleFormatter() if environment == "development" else JSONFormatter()


def outage(of: str) -> dict[str, str]:
    """Return `extra` for a record that an outage repeats: it is written once a minute, counted."""
    return {"outage": of}


def _count_repetition(record: logging.LogRecord) -> bool:
    """Write the first record of an outage, and then one a minute with the number of others."""
    message = str(record.msg)
    # Huey retries several times a second.
    of = getattr(record, "outage", message if message.startswith("Error reading ") else None)
    if of is None:
        return True
    reported_at, others = _reported.get(of, (0.0, 0))
    if record.created < reported_at + _REPORT_EVERY:
        _reported[of] = reported_at, others + 1
        return False
    _reported[of] = record.created, 0
    if others:
        record.repeated = others
    return True


def remove_secrets(record: logging.LogRecord) -> bool:
    """Remove secrets from the message of a record; a filter of handlers."""
    record.msg, record.args = without_secrets(record.getMessage()), ()
    return True


def _reduce_noise(record: logging.LogRecord) -> bool:
    """Filter the development server's log: drop requests for static files, and secrets in links."""
    remove_secrets(record)
    return not _NOISE.search(record.msg)


def without_secrets(text: str) -> str:
    """Return a URL, or a line that contains one, without secrets that could sign a user in.

    Both the raw and the decoded form are checked: `next=%2Fauth%2Flink%2F…` and `/auth/%6Cink/…`
    contain the link as well.
    """
    return _SECRET.sub(r"\1…", _ENCODED.sub(_decoded, _SECRET.sub(r"\1…", text)))


def _decoded(match: re.Match[str]) -> str:
    """Return the character, unless it would end the secret or the line."""
    character = chr(int(match[1], 16))
    return character if character.isprintable() and character not in ' "%' else match[0]


def without_addresses(text: str) -> str:
    """Return the message of another service without email addresses."""
    return _MAILBOX.sub("…", text)


def request_id() -> str:
    """Return the id of this request for the error page and the log; empty outside of a request."""
    return str(g.get("request_id", "")) if has_request_context() else ""


def _extra(record: logging.LogRecord) -> dict[str, str | int | float]:
    """Return the fields of a record that we know; numbers stay numbers."""
    values = {name: getattr(record, name, None) for name in _EXTRA}
    values.update({name: known for name, known in _users().items() if values[name] is None})
    return {
        name: value if isinstance(value, int | float) else str(value)
        for name, value in values.items()
        if value is not None
    }


def _users() -> dict[str, object]:
    """Return the user of this request, and the administrator who views their pages, if known.

    Nothing is loaded for this.
    """
    user = g.get("_login_user") if has_request_context() else None  # Flask-Login's
    viewer = getattr(user, "viewer", None)
    return {"viewer_id": viewer.id, "user_id": getattr(user, "id", None)} if viewer else {}


class JSONFormatter(logging.Formatter):
    """Format a record as one line; JSON escapes newlines in messages and tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if rid := request_id():
            line["request_id"] = rid
        line.update(_extra(record))
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class ConsoleFormatter(logging.Formatter):
    """Format a record for a terminal: `07:10:37 info    event handled  outcome=applied`."""

    def format(self, record: logging.LogRecord) -> str:
        extra = {name: value for name, value in _extra(record).items() if name not in _IN_MESSAGE}
        words = [record.getMessage(), *(f"{name}={value}" for name, value in extra.items())]
        at = self.formatTime(record, "%H:%M:%S")
        line = f"{at} {record.levelname.lower():<7} {'  '.join(words)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _name_request() -> None:
    header = request.headers.get("X-Request-Id", "")
    g.request_id = header if _REQUEST_ID.fullmatch(header) else uuid.uuid4().hex


def _describe_request(response: Response) -> Response:
    if rid := request_id():
        response.headers.setdefault("X-Request-Id", rid)
    user = g.get("_login_user")  # Flask-Login's; not loaded for this, the database may be down
    request.environ["saas.request"] = {
        "request_id": rid,
        "route": request.url_rule.rule if request.url_rule else None,
        "user_id": str(user.id) if getattr(user, "is_authenticated", False) else None,
        "viewer_id": str(user.viewer.id) if getattr(user, "viewer", None) else None,
    }
    return response
