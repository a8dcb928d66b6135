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

_EXTRA = ("event_id", "event_type", "user_id", "customer_id", "outcome", "seconds", "job")
_NOISE = re.compile(r"GET /(static/|healthz)|development server|CTRL\+C")
# Secrets that sign a user in: tokens of emailed links, and parameters of provider callbacks.
_SECRET = re.compile(
    r"(/+auth/+(?:link/+|email/+(?:undo/+)?)|[?&;](?:code|state)=)[^\s?&;\"]+", re.IGNORECASE
)
_ENCODED = re.compile(
    r"%(?:25)*([2-7][0-9a-f])", re.IGNORECASE
)  # ASCII, even if encoded several times
_MAILBOX = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")
_REPORT_EVERY = 60.0  # seconds between reports of an unreachable queue
_last_reported: dict[str, float] = {}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def init_app(app: Flask) -> None:
    """Give every request an id, and write the log to standard error."""
    app.before_request(_name_request)
    app.after_request(_add_request_id_header)
    logging.getLogger("werkzeug").addFilter(_reduce_noise)
    logger = logging.getLogger("saas")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        in_development = app.config["SAAS_ENV"] == "development"
        handler.setFormatter(ConsoleFormatter() if in_development else JSONFormatter())
        logger.addHandler(handler)
        queue_logger = logging.getLogger("huey")
        queue_logger.setLevel(logging.WARNING)
        queue_logger.addHandler(handler)
        handler.addFilter(_drop_repetition)
    app.logger = logger


def _drop_repetition(record: logging.LogRecord) -> bool:
    """Drop repeated reports of an unreachable queue: Huey retries several times a second."""
    message = str(record.msg)
    if not message.startswith("Error reading "):
        return True
    is_new = record.created >= _last_reported.get(message, 0.0) + _REPORT_EVERY
    if is_new:
        _last_reported[message] = record.created
    return is_new


def _reduce_noise(record: logging.LogRecord) -> bool:
    """Filter the development server's log: drop requests for static files, and secrets in links."""
    record.msg = without_secrets(record.getMessage())
    record.args = ()
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
        line.update({k: str(v) for k in _EXTRA if (v := getattr(record, k, None)) is not None})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class ConsoleFormatter(logging.Formatter):
    """Format a record for a terminal: `07:10:37 info    event handled  outcome=applied`."""

    def format(self, record: logging.LogRecord) -> str:
        extra = {k: v for k in _EXTRA if (v := getattr(record, k, None)) is not None}
        words = [record.getMessage(), *(f"{name}={value}" for name, value in extra.items())]
        at = self.formatTime(record, "%H:%M:%S")
        line = f"{at} {record.levelname.lower():<7} {'  '.join(words)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _name_request() -> None:
    header = request.headers.get("X-Request-Id", "")
    g.request_id = header if _REQUEST_ID.fullmatch(header) else uuid.uuid4().hex


def _add_request_id_header(response: Response) -> Response:
    if rid := request_id():
        response.headers.setdefault("X-Request-Id", rid)
    return response
