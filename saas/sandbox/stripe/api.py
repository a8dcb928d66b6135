"""The API's rim: key, parameters, idempotency, one unit of work, an answer in Stripe's shape."""

import hashlib
import json
from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import HTTPException

from . import ids, resources, weather
from .account import Account
from .accounts import KEY, opened
from .errors import StripeError, invalid, unauthorized, unplayed, unrecognized_url
from .expand import expanded
from .forms import decode
from .operations import OPERATIONS, Operation
from .params import check
from .resource import Resource, visible

MAX_BODY = 1_000_000

bp = Blueprint("stripe_api", __name__, url_prefix="/stripe/v1")


def answer(operation: Operation, **path: str) -> Response:
    """One call, from the key to the JSON."""
    key = bearer_key()
    sandbox = current_app.extensions["sandbox"]
    mishap = weather.befalls(sandbox, key)
    with sandbox.store.unit():
        account = opened(sandbox.store, key, request.host_url.rstrip("/"), sandbox.now)
        account.request = {
            "id": "req_" + ids.token(14),
            "idempotency_key": request.headers.get("Idempotency-Key") or None,
        }
        status, body, replayed = _once(account, operation, path)
    return weather.spoiled(mishap, _response(account, status, body, replayed))


def bearer_key() -> str:
    """The secret key of the request, as Bearer or as the user name of Basic."""
    given = request.authorization
    if given is None:
        raise unauthorized(None)
    key = (given.token if given.type == "bearer" else given.username) or ""
    if not KEY.match(key):
        raise unauthorized(key)
    return key


def _once(
    account: Account, operation: Operation, path: dict[str, str]
) -> tuple[int, dict[str, Any], bool]:
    """The first answer to an idempotency key is the only one, a declined card included.

    "The idempotency layer compares incoming parameters to those of the original request and errors
    if they’re not the same"; "If incoming parameters fail validation, […] we don’t save the
    idempotent result". https://docs.stripe.com/api/idempotent_requests
    """
    values = _values()
    key = account.request["idempotency_key"]
    if not key or operation.method != "POST":
        return *_performed(account, operation, path, values), False
    if len(key) > 255:
        raise invalid("Idempotency keys can be at most 255 characters long.")

    mark = hashlib.sha256(json.dumps([request.path, values]).encode()).hexdigest()
    row = account.store.row("SELECT * FROM answers WHERE account = ? AND key = ?", account.id, key)
    if row is None:
        status, body = _performed(account, operation, path, values)
        account.store.execute(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
            account.id, key, mark, status, json.dumps(body),
        )  # fmt: skip
        return status, body, False
    if row["request"] != mark:
        raise StripeError(
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{key}' if you meant to execute a "
            "different request.",
            type="idempotency_error",
        )
    return row["status"], json.loads(row["body"]), True


def _performed(
    account: Account, operation: Operation, path: dict[str, str], values: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    params = check(operation.shape, values)
    paths = params.get("expand", [])
    try:
        with account.store.attempt(keeps=lambda error: getattr(error, "recorded", False)):
            found = visible(operation.handle(account, params, **path))
            for name in params.unread():
                raise unplayed(name)
            return 200, expanded(account, found, paths)
    except StripeError as error:
        if error.status != 402:
            raise
        return error.status, error.body()


def _values() -> dict[str, Any]:
    if request.content_length and request.content_length > MAX_BODY:
        raise StripeError("The request is too large.", status=413)
    given = [*request.args.items(multi=True)]
    if request.method != "GET":
        given += request.form.items(multi=True)
    return decode(given)


def _response(account: Account | None, status: int, body: Resource, replayed: bool) -> Response:
    response = Response(json.dumps(body) + "\n", status, mimetype="application/json")
    request_id = account.request["id"] if account else None
    response.headers["Request-Id"] = request_id or "req_" + ids.token(14)
    response.headers["Stripe-Version"] = request.headers.get("Stripe-Version", "")
    if account and account.request["idempotency_key"]:
        response.headers["Idempotency-Key"] = account.request["idempotency_key"]
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@bp.errorhandler(StripeError)
def refused(error: StripeError) -> Response:
    return _response(None, error.status, error.body(), replayed=False)


@bp.errorhandler(HTTPException)
def malformed(error: HTTPException) -> Response:
    found = StripeError(error.description or "Bad request", status=error.code or 400)
    return refused(found)


@bp.route("/", defaults={"path": ""}, methods=["GET", "POST", "DELETE", "PUT", "PATCH"])
@bp.route("/<path:path>", methods=["GET", "POST", "DELETE", "PUT", "PATCH"])
def unknown(path: str) -> Response:
    return refused(unrecognized_url(request.method, f"/v1/{path}"))


def _register() -> None:
    resources.load()
    for number, operation in enumerate(OPERATIONS):
        bp.add_url_rule(
            operation.path,
            endpoint=f"{number}_{operation.handle.__name__}",
            view_func=lambda _operation=operation, **path: answer(_operation, **path),
            methods=[operation.method],
        )


_register()
