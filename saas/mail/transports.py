"""Send emails by Resend's API, which the sandbox's mailbox also provides, or by SMTP."""

from __future__ import annotations

import base64
import smtplib
import ssl
import uuid
from contextlib import closing, suppress
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from urllib.parse import unquote, urlsplit

import requests
from flask import current_app, render_template

from saas import http, logs
from saas.static_files import static

_TIMEOUT = 8  # seconds; only workers wait for it
_AUTOMATIC = {"Auto-Submitted": "auto-generated"}  # RFC 3834: prevents automatic replies


@dataclass(frozen=True)
class Email:
    """An email to one recipient. `to` is the address as it was validated and stored."""

    to: str
    subject: str
    html: str
    text: str


class DeliveryFailed(Exception):
    """The mail server did not accept the message."""


class PermanentFailure(DeliveryFailed):
    """The message can never be sent, so it is not retried."""


def compose(to: str, subject: str, template: str, **context: object) -> Email:
    """Return an email from `mail/<template>.html` and `.txt`, with inlined styles."""
    import css_inline

    brand = current_app.config["BRAND"]
    logo = current_app.config["APP_URL"] + static("icons/logo.png")
    context = {"app_name": brand.name, "brand": brand, "logo": logo, **context}
    html = render_template(f"mail/{template}.html", subject=subject, **context)
    text = render_template(f"mail/{template}.txt", subject=subject, **context)
    return Email(to, subject, css_inline.inline(html, load_remote_stylesheets=False), text)


def send(email: Email, message_id: uuid.UUID) -> None:
    """Send an email; raise if it was not accepted. The id makes repeats recognisable."""
    if parseaddr(email.to)[1] != email.to or "=?" in email.to:
        # Forms refuse such addresses. Parsing them again could change the recipient: smtplib takes
        # "b@evil.test <a@good.test>" for the first of the two; the email package decodes
        # "=?utf-8?q?b=40evil.test=2c?=@good.test" into two addresses.
        raise PermanentFailure("the recipient is not a single plain address")
    if smtp_url := current_app.config["SMTP_URL"]:
        _send_by_smtp(email, message_id, smtp_url)
    else:
        _send_by_resend(email, message_id)


def _message_id(message_id: uuid.UUID) -> str:
    domain = parseaddr(current_app.config["EMAIL_FROM"])[1].rpartition("@")[2]
    return f"<{message_id}@{domain}>"


def _send_by_resend(email: Email, message_id: uuid.UUID) -> None:
    """Send by Resend's API: https://resend.com/docs/api-reference/emails/send-email."""
    key = current_app.config["RESEND_API_KEY"]
    base = "https://api.resend.com" if key else f"{current_app.config['SANDBOX_URL']}/resend"
    response = http.request(
        "POST",
        f"{base}/emails",
        json={
            "from": current_app.config["EMAIL_FROM"],
            "to": [email.to],
            "subject": email.subject,
            "html": email.html,
            "text": email.text,
            "headers": {"Message-ID": _message_id(message_id), **_AUTOMATIC},
        },
        headers={
            "Authorization": f"Bearer {key or 're_sandbox'}",
            "Idempotency-Key": str(message_id),
        },
        timeout=_timeout(),
        allow_redirects=False,
    )
    if (
        response.status_code == 409
        and _body_of(response).get("name") == "invalid_idempotent_request"
    ):
        return  # an earlier attempt was accepted, and the content has changed since then
    if not 200 <= response.status_code < 300:  # noqa: PLR2004 - a success
        reason = _body_of(response).get("message") or response.reason
        raise DeliveryFailed(f"the mail service returned {response.status_code}: {reason}")
    if not isinstance(_body_of(response).get("id"), str):
        raise DeliveryFailed(f"the mail service returned {response.status_code} without an id")


def describe(error: Exception) -> str:
    """Return why an email was not sent, in the server's words, without email addresses."""
    if isinstance(error, DeliveryFailed):
        reason = str(error)
    elif isinstance(error, smtplib.SMTPRecipientsRefused):
        reason = "; ".join(_smtp_reply(*reply) for reply in error.recipients.values())
    elif isinstance(error, smtplib.SMTPResponseException):
        reason = _smtp_reply(error.smtp_code, error.smtp_error)
    elif isinstance(error, OSError | smtplib.SMTPException):
        return logs.without_addresses(http.root_cause(error))
    else:
        return type(error).__name__
    text = " ".join(logs.without_addresses(reason).split())
    return f"{type(error).__name__}: {text[:300]}"


def _smtp_reply(code: int, text: bytes | str) -> str:
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"the mail server returned {code}: {words}"


def _body_of(response: requests.Response) -> dict[str, object]:
    """Return the response: an `id`, or an error's `name` and `message`.

    https://resend.com/docs/api-reference/errors
    """
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _timeout() -> float:
    return float(current_app.config.get("MAIL_TIMEOUT") or _TIMEOUT)  # shorter in tests


def _send_by_smtp(email: Email, message_id: uuid.UUID, url: str) -> None:
    parts = urlsplit(url)
    with closing(_connect(parts.scheme, parts.hostname or "localhost", parts.port)) as server:
        if parts.username:
            _log_in(server, unquote(parts.username), unquote(parts.password or ""))
        sender = parseaddr(current_app.config["EMAIL_FROM"])[1]
        # Pass exactly one recipient: send_message would parse the To header again, and an
        # address with a comma in it would reach two people.
        server.sendmail(sender, [email.to], _as_mime(email, message_id).as_bytes())
        with suppress(smtplib.SMTPException):
            server.quit()  # the message was accepted, so ignore later errors


def _connect(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    if scheme == "smtps":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(host, port or 465, timeout=_timeout(), context=context)
    server = smtplib.SMTP(
        host, port or (587 if scheme == "smtp+starttls" else 25), timeout=_timeout()
    )
    if scheme == "smtp+starttls":
        server.starttls(context=ssl.create_default_context())
    return server


def _log_in(server: smtplib.SMTP, user: str, password: str) -> None:
    if f"{user}{password}".isascii():
        server.login(user, password)
        return
    # smtplib only sends ASCII; PLAIN is UTF-8: https://www.rfc-editor.org/rfc/rfc4616#section-2
    plain = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    server.ehlo_or_helo_if_needed()
    code, reply = server.docmd("AUTH", f"PLAIN {plain}")
    if code != 235:  # noqa: PLR2004 - "authentication succeeded"
        raise smtplib.SMTPAuthenticationError(code, reply)


def _as_mime(email: Email, message_id: uuid.UUID) -> EmailMessage:
    mime = EmailMessage(policy=policy.SMTP)  # CRLF, and lines of valid length
    try:
        mime["From"] = current_app.config["EMAIL_FROM"]
        mime["To"] = email.to
        mime["Subject"] = email.subject
    except ValueError as error:  # a line break would start another header
        raise PermanentFailure(f"a header is invalid ({error})") from None
    for name, value in _AUTOMATIC.items():
        mime[name] = value
    mime["Date"] = formatdate(usegmt=True)
    mime["Message-ID"] = _message_id(message_id)
    mime.set_content(email.text)
    mime.add_alternative(email.html, subtype="html")
    return mime
