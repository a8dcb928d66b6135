"""The HTTP layer of the API: key, parameters, idempotency, transaction, response."""

import json
from typing import Any
from urllib.parse import unquote_to_bytes

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import HTTPException

from saas_sandbox.stripe.accounts import KEY_PATTERN, get_or_create_account
from saas_sandbox.stripe.api import idempotency, resources, validation
from saas_sandbox.stripe.api.expand import expand_paths
from saas_sandbox.stripe.api.form_encoding import decode
from saas_sandbox.stripe.api.operations import OPERATIONS, Operation
from saas_sandbox.stripe.engine import ids, version
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import (
    StripeError,
    mask_key,
    unauthorized,
    unrecognized_url,
    unsupported_param,
)
from saas_sandbox.stripe.engine.params import Params, parse_params
from saas_sandbox.stripe.engine.resource import Resource, strip_internal
from saas_sandbox.stripe.faults import api_calls

MAX_BODY = 1_000_000

bp = Blueprint("stripe_api", __name__, url_prefix="/stripe/v1")


def handle_operation(operation: Operation, **path: str) -> Response:
    """Handle one call, from the key to the JSON response."""
    key = read_api_key()
    sandbox = current_app.extensions["sandbox"]
    with sandbox.store.transaction():
        fault = api_calls.choose_fault(_get_account(sandbox, key))
    api_calls.raise_refusal(fault)
    version.check_version(request.headers.get("Stripe-Version"))
    values = _read_params()
    idempotency_key = _get_idempotency_key(operation)
    fingerprint = idempotency.compute_fingerprint(request.path.removeprefix("/stripe"), values)
    with sandbox.in_flight.lock(key, idempotency_key, fingerprint):
        api_calls.apply_latency(fault)
        with sandbox.store.transaction():
            account = _open_account(sandbox, key)
            status, body, replayed = _execute_once(account, operation, path, values, fingerprint)
    return api_calls.corrupt_response(fault, _build_response(account, status, body, replayed))


def _get_idempotency_key(operation: Operation) -> str | None:
    """Return the key of a POST request: "All POST requests accept idempotency keys." """
    if operation.method != "POST":
        return None
    return idempotency.validate_key(request.headers.get("Idempotency-Key"))


def _get_account(sandbox: Any, key: str) -> Account:
    return get_or_create_account(sandbox.store, key, request.host_url.rstrip("/"), sandbox.now)


def _open_account(sandbox: Any, key: str) -> Account:
    account = _get_account(sandbox, key)
    account_id = request.headers.get("Stripe-Account")
    if account_id and account_id != account.id:
        raise StripeError(
            f"The provided key '{mask_key(key)}' does not have access to account "
            f"'{account_id[:100]}' (or that account does not exist). Application access may have "
            "been revoked.",
            status=403,
            code="account_invalid",
        )
    account.request = {
        "id": "req_" + ids.token(14),
        "idempotency_key": request.headers.get("Idempotency-Key") or None,
    }
    return account


def read_api_key() -> str:
    """Return the secret key of the request, from Bearer or the user name of Basic."""
    credentials = request.authorization
    if credentials is None:
        raise unauthorized(None)
    key = (credentials.token if credentials.type == "bearer" else credentials.username) or ""
    if not KEY_PATTERN.match(key):
        raise unauthorized(key)
    return key


def _execute_once(
    account: Account,
    operation: Operation,
    path: dict[str, str],
    values: dict[str, Any],
    fingerprint: str,
) -> tuple[int, dict[str, Any], bool]:
    """Return the first response to an idempotency key, including stored 4xx errors."""
    params = parse_params(operation.shape, values)
    validation.check_limits(operation, params)
    key = _get_idempotency_key(operation)
    if key and (stored := idempotency.find_response(account, key, fingerprint)):
        return *stored, True

    response = _execute(account, operation, path, params)
    if key:
        idempotency.save_response(account, key, fingerprint, response)
    return *response, False


def _execute(
    account: Account, operation: Operation, path: dict[str, str], params: Params
) -> tuple[int, dict[str, Any]]:
    """Execute the call. Errors from here on are stored; earlier ones are not."""
    paths = params.get("expand", [])
    try:
        with account.store.savepoint(keep_on=lambda error: getattr(error, "recorded", False)):
            resource = strip_internal(operation.handle(account, params, **path))
            for name in params.unread():
                raise unsupported_param(name)
            return 200, expand_paths(account, resource, paths)
    except StripeError as error:
        if error.is_validation:
            raise
        return error.status, error.body()


def _read_params() -> dict[str, Any]:
    """Return the parameters of query and form body; other bodies are refused."""
    if request.content_length and request.content_length > MAX_BODY:
        raise StripeError("The request is too large.", status=413)
    _check_utf8(request.query_string)
    pairs = [*request.args.items(multi=True)]
    if request.method != "GET":
        is_form = request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data")
        if not is_form and request.get_data():
            raise StripeError(
                "Invalid request (check that your POST content type is "
                "application/x-www-form-urlencoded)."
            )
        if request.mimetype != "multipart/form-data":
            _check_utf8(request.get_data())
        pairs += request.form.items(multi=True)
    return decode(pairs)


def _check_utf8(encoded: bytes) -> None:
    try:
        unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        raise StripeError("The parameters are not valid UTF-8.") from None


def _build_response(
    account: Account | None, status: int, body: Resource, replayed: bool
) -> Response:
    response = Response(json.dumps(body) + "\n", status, mimetype="application/json")
    request_id = account.request["id"] if account else None
    response.headers["Request-Id"] = request_id or "req_" + ids.token(14)
    response.headers["Stripe-Version"] = version.API_VERSION
    if status == 409:
        response.headers["Stripe-Should-Retry"] = "true"
    if account and account.request["idempotency_key"]:
        response.headers["Idempotency-Key"] = account.request["idempotency_key"]
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@bp.errorhandler(StripeError)
def handle_stripe_error(error: StripeError) -> Response:
    return _build_response(None, error.status, error.body(), replayed=False)


@bp.errorhandler(HTTPException)
def handle_http_error(error: HTTPException) -> Response:
    return handle_stripe_error(
        StripeError(error.description or "Bad request", status=error.code or 400)
    )


@bp.route("/", defaults={"path": ""}, methods=["GET", "POST", "DELETE", "PUT", "PATCH"])
@bp.route("/<path:path>", methods=["GET", "POST", "DELETE", "PUT", "PATCH"])
def handle_unknown_url(path: str) -> Response:
    return handle_stripe_error(unrecognized_url(request.method, f"/v1/{path}"))


def _register_operations() -> None:
    resources.load()
    for number, operation in enumerate(OPERATIONS):
        bp.add_url_rule(
            operation.path,
            endpoint=f"{number}_{operation.handle.__name__}",
            view_func=lambda _operation=operation, **path: handle_operation(_operation, **path),
            methods=[operation.method],
        )


_register_operations()
