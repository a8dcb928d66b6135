"""Error responses: HTML pages, JSON under /api, never a traceback in production."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, jsonify, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from werkzeug.exceptions import (
    BadHost,
    BadRequest,
    HTTPException,
    InternalServerError,
    RequestURITooLarge,
    SecurityError,
    ServiceUnavailable,
    TooManyRequests,
)
from werkzeug.wrappers import Response as BaseResponse

from saas import logs

_MAX_LOCATION = 2_000  # characters of a Location header
# A title, and advice.
_TEXTS = {
    400: ("We couldn't read that request", "Go back, reload the page and try again."),
    401: ("Please sign in", "You need an account to see this page."),
    403: ("Access denied", "Your account isn't allowed to do this."),
    404: ("Not found", "The URL may be mistyped, or the page has moved."),
    405: ("This page can't be opened this way", "Go back and use the buttons on the page."),
    413: ("That is too large", "You sent more than we accept."),
    414: ("This URL is too long", "Remove everything after the question mark and try again."),
    429: ("Too many requests", "Wait a moment, then try again."),
    500: ("Something went wrong", "The error was logged. Try again in a moment."),
    503: ("We're temporarily unavailable", "Nothing was changed. Try again in a moment."),
}
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    414: "too_long",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}


class APIError(HTTPException):
    """An error response in JSON: `{"error": {"code", "message", "fields"?}}`."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        fields: Mapping[str, Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(description=message)
        self.code = status
        self.slug = code
        self.fields = fields
        self.headers = dict(headers or {})

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **kwargs), *self.headers.items()]


def init_app(app: Flask) -> None:
    """Register handlers that return errors as HTML or JSON."""
    app.register_error_handler(HTTPException, _respond)
    for kind in (OperationalError, InterfaceError, NoConnectionLeft):
        app.register_error_handler(kind, _database_unreachable)
    app.register_error_handler(DataError, _not_storable)
    app.register_error_handler(UnicodeDecodeError, _not_text)
    app.register_error_handler(Exception, _unexpected)
    app.after_request(_bound_redirect)


def wants_json() -> bool:
    """Return whether the client expects JSON."""
    return request.path.startswith("/api/") or request.mimetype == "application/json"


def _bound_redirect(response: BaseResponse) -> BaseResponse:
    """Replace a redirect to an overlong URL of the application with 414.

    nginx returns 502 for response headers of more than 4 KiB, and counts it as a failure of the
    application. Other headers of the response are kept.
    """
    location = response.headers.get("Location", "")
    ours = ("", urlsplit(current_app.config["APP_URL"]).netloc, request.environ.get("HTTP_HOST"))
    if len(location) > _MAX_LOCATION and urlsplit(location).netloc in ours:
        refusal = _respond(RequestURITooLarge())
        response.status_code = refusal.status_code
        response.headers["Content-Type"] = refusal.headers["Content-Type"]
        response.set_data(refusal.get_data())
        response.headers["Cache-Control"] = refusal.headers["Cache-Control"]
        del response.headers["Location"]
    return response


def _database_unreachable(error: SQLAlchemyError) -> BaseResponse:
    """Return 503 when the database refuses, hangs or is full, because a retry may succeed."""
    _log(error, extra=logs.outage("database"))
    return _respond(ServiceUnavailable())


def _not_storable(error: DataError) -> BaseResponse:
    """Return 400 for a value that a column rejects, such as a NUL character."""
    _log(error)
    return _respond(BadRequest())


def _not_text(_: UnicodeDecodeError) -> BaseResponse:
    """Return 400 for a query that is not UTF-8; Werkzeug only decodes it on access."""
    return _respond(BadRequest())


def _unexpected(error: Exception) -> BaseResponse:
    _log(error)
    if current_app.config["SAAS_ENV"] == "development" and not wants_json():
        return _traceback(error)
    return _respond(InternalServerError())


def _traceback(error: Exception) -> Response:
    """Return a page with the traceback. In development only."""
    page = current_app.jinja_env.get_template("errors/trace.html").render(
        summary="".join(traceback.format_exception_only(error)).strip(),
        trace="".join(traceback.format_exception(error)),
        method=request.method,
        path=logs.without_secrets(request.full_path.rstrip("?")),
        endpoint=request.endpoint,
    )
    return Response(page, 500, headers={"Cache-Control": "no-store"})


def _log(error: Exception, extra: Mapping[str, str] | None = None) -> None:
    where = logs.without_secrets(request.path)
    current_app.logger.error("%s at %s", type(error).__name__, where, exc_info=error, extra=extra)


def _respond(error: HTTPException) -> BaseResponse:
    if error.response is not None or error.code is None or error.code < 400:
        return error.get_response()  # a redirect or a custom response
    body = _as_json(error) if wants_json() else _as_page(error)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            body.headers.setdefault(name, value)
    body.headers["Cache-Control"] = "no-store"
    return body


def _as_json(error: HTTPException) -> Response:
    code = error.code or 500
    problem: dict[str, Any] = {
        "code": "csrf" if isinstance(error, CSRFError) else _code_of(error),
        "message": error.description if isinstance(error, APIError) else _text(error)[0] + ".",
    }
    if isinstance(error, APIError) and error.fields:
        problem["fields"] = dict(_flat(error.fields))
    response = jsonify(error=problem)
    response.status_code = code
    return response


def _flat(messages: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Return messages by field; nested fields as `links.0.url`, as marshmallow nests them."""
    for name, message in messages.items():
        if isinstance(message, Mapping):
            yield from _flat(message, f"{prefix}{name}.")
        else:
            yield (
                f"{prefix}{name}",
                [message] if isinstance(message, str) else [str(m) for m in message],
            )


def _code_of(error: HTTPException) -> str:
    code = error.code or 500
    return str(getattr(error, "slug", _CODES.get(code, f"http_{code}")))


def _as_page(error: HTTPException) -> Response:
    title, message = _text(error)
    if error.code == 429 and error.description != TooManyRequests.description:
        message = f"{message} {error.description}"  # such as other ways to sign in
    if isinstance(request.routing_exception, (BadHost, SecurityError)):
        # The Host header is not ours, so no URL can be built for an HTML page.
        return Response(f"{title}. {message}\n", error.code or 400, mimetype="text/plain")
    # Not render_template: its context processor loads the user from the database, which may be
    # the cause of the error.
    page = current_app.jinja_env.get_template("errors/error.html").render(
        code=error.code,
        title=title,
        message=message,
        request_id=logs.request_id(),
    )
    return Response(page, error.code or 500)


def _text(error: HTTPException) -> tuple[str, str]:
    if isinstance(error, CSRFError):
        return "We couldn't verify this form", "Go back, reload the page and submit it again."
    code = error.code or 500
    return _TEXTS.get(code, _TEXTS[400] if code < 500 else _TEXTS[500])
