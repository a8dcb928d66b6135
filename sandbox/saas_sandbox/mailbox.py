"""The mailbox: receives emails through Resend's API, and shows them.

https://resend.com/docs/api-reference/emails/send-email
"""

import json
import re
import uuid
from datetime import UTC, datetime
from html import unescape
from typing import Any

from flask import Blueprint, Response, abort, current_app, jsonify, render_template, request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load, validate

from .store import Store

bp = Blueprint("mailbox", __name__)

URL_PATTERN = re.compile(r"https?://[^\s<>\"']+")
HREF_PATTERN = re.compile(r"""href=["'](https?://[^"']+)["']""")
# A clicked link opens in the whole window, and scripts in an email never run. Pictures may come
# only from this machine, where the application runs.
FRAME_POLICY = (
    "sandbox allow-top-navigation-by-user-activation; style-src 'unsafe-inline'; "
    "img-src data: http://localhost:* http://127.0.0.1:*"
)


class MailSchema(Schema):
    """The supported fields of POST /emails."""

    class Meta:
        unknown = EXCLUDE

    sender = fields.String(data_key="from", required=True, validate=validate.Length(min=3))
    to = fields.List(fields.String(), required=True, validate=validate.Length(min=1, max=50))
    subject = fields.String(required=True)
    html = fields.String(load_default=None, allow_none=True)
    text = fields.String(load_default=None, allow_none=True)
    headers = fields.Dict(keys=fields.String(), values=fields.String(), load_default=dict)
    reply_to = fields.List(fields.String(), load_default=list)

    @pre_load
    def wrap_single_recipients(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Accept one address or several in `to` and `reply_to`."""
        single = {n: [data[n]] for n in ("to", "reply_to") if isinstance(data.get(n), str)}
        return {**data, **single}


@bp.post("/resend/emails")
def send() -> tuple[Response, int]:
    if not (request.authorization and request.authorization.token):
        return _error(401, "missing_api_key", "Missing API key in the authorization header.")
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        return _error(422, "validation_error", "The request body must be a JSON object.")
    try:
        mail = MailSchema().load(body)
    except ValidationError as error:
        return _error(422, "validation_error", _describe_first_error(error))
    if mail["html"] is None and mail["text"] is None:
        return _error(422, "missing_required_field", "Missing `html` or `text` field.")

    return _save_mail(mail, body, request.headers.get("Idempotency-Key"))


@bp.get("/mail")
def index() -> str:
    recipient = request.args.get("to", "").strip()
    return render_template("mail.html", mails=_list_mails(recipient), recipient=recipient)


@bp.get("/mail.json")
def index_json() -> Response:
    mails = _list_mails(request.args.get("to", "").strip())
    names = ("id", "to", "subject", "text", "html", "links", "created")
    return jsonify(messages=[{name: mail[name] for name in names} for mail in mails])


@bp.get("/mail/<id>")
def show_mail(id: str) -> str:
    return render_template("one_mail.html", mail=_get_mail(id))


@bp.get("/mail/<id>/html")
def show_html(id: str) -> Response:
    """Serve only the HTML, at its own URL: inline styles are allowed, scripts are not."""
    response = Response(
        _open_links_in_top_window(_get_mail(id)["html"] or ""), mimetype="text/html"
    )
    response.headers["Content-Security-Policy"] = FRAME_POLICY
    return response


def _open_links_in_top_window(html: str) -> str:
    """Return the email with all links changed to open outside of the frame."""
    base = '<base target="_top">'
    with_base, count = re.subn("<head[^>]*>", lambda head: head[0] + base, html, count=1)
    return with_base if count else base + html


def _save_mail(mail: dict[str, Any], body: dict[str, Any], key: str | None) -> tuple[Response, int]:
    store = _store()
    with store.transaction():
        row = store.fetch_one("SELECT id, body FROM mails WHERE key = ?", key) if key else None
        if row and json.loads(row["body"])["asked"] != body:
            return _error(
                409,
                "invalid_idempotent_request",
                "This idempotency key was already used with a different request body.",
            )
        if row:
            return jsonify(id=row["id"]), 200

        id = str(uuid.uuid4())
        store.execute(
            "INSERT INTO mails (id, key, created, body) VALUES (?, ?, ?, ?)",
            id, key, _now(), json.dumps({**mail, "asked": body}),
        )  # fmt: skip
    return jsonify(id=id), 200


def _list_mails(to: str = "") -> list[dict[str, Any]]:
    rows = _store().fetch_all("SELECT * FROM mails ORDER BY seq DESC LIMIT 500")
    mails = [_to_mail(row) for row in rows]
    return [mail for mail in mails if any(to.lower() in a.lower() for a in mail["to"])]


def _get_mail(id: str) -> dict[str, Any]:
    row = _store().fetch_one("SELECT * FROM mails WHERE id = ?", id)
    if row is None:
        abort(404)
    return _to_mail(row)


def _to_mail(row: Any) -> dict[str, Any]:
    mail = json.loads(row["body"])
    at = datetime.fromisoformat(row["created"])
    when = f"{at:%-d %b %Y, %H:%M:%S} UTC"
    mail |= {"id": row["id"], "created": row["created"], "when": when}
    mail["links"] = extract_links(mail)
    return dict(mail)


def extract_links(mail: dict[str, Any]) -> list[str]:
    """Return all URLs in the email, once each, in reading order."""
    urls = URL_PATTERN.findall(mail["text"] or "") + [
        unescape(u) for u in HREF_PATTERN.findall(mail["html"] or "")
    ]
    return list(dict.fromkeys(link.rstrip(".,;:)") for link in urls))


def _error(status: int, name: str, message: str) -> tuple[Response, int]:
    return jsonify(statusCode=status, name=name, message=message), status


def _describe_first_error(error: ValidationError) -> str:
    messages: Any = error.messages
    name, complaints = next(iter(messages.items()))
    first = complaints if isinstance(complaints, str) else next(iter(complaints))
    return f"Invalid `{name}` field: {first}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _store() -> Store:
    store: Store = current_app.extensions["sandbox"].store
    return store
