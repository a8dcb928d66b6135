"""The sandbox's own admin API, for functions that Stripe has only in its Dashboard, or lacks.

JSON under /stripe/control, with the same Bearer key as the API: settings, faults, time, disputes,
and bulk data.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request
from marshmallow import Schema, ValidationError, fields, validate

from saas_sandbox.stripe.accounts import get_or_create_account
from saas_sandbox.stripe.api.views import read_api_key
from saas_sandbox.stripe.engine import bulk_seed, collection, disputes, test_clocks, time_travel
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import StripeError
from saas_sandbox.stripe.engine.resource import strip_internal
from saas_sandbox.stripe.faults import injection

bp = Blueprint("stripe_control", __name__, url_prefix="/stripe/control")

SHARE = validate.Range(0, 1)
SECONDS = validate.Range(0, 120)

Handler = Callable[..., dict[str, Any]]


class SettingsSchema(Schema):
    """Settings that Stripe has in its Dashboard."""

    after_retries = fields.String(validate=validate.OneOf(["cancel", "unpaid", "past_due"]))
    retry_days = fields.List(
        fields.Integer(validate=validate.Range(1, 60)), validate=validate.Length(max=8)
    )
    tax_percent = fields.Float(allow_none=True, validate=validate.Range(0, 100))


class FaultsSchema(Schema):
    seed = fields.Integer()
    duplicate = fields.Float(validate=SHARE)
    drop = fields.Float(validate=SHARE)
    delay = fields.Float(validate=SHARE)
    reorder = fields.Float(validate=SHARE)
    delay_seconds = fields.Float(validate=SECONDS)
    slow = fields.Float(validate=SHARE)
    too_many = fields.Float(validate=SHARE)
    broken = fields.Float(validate=SHARE)
    cut = fields.Float(validate=SHARE)
    rubbish = fields.Float(validate=SHARE)
    slow_seconds = fields.Float(validate=SECONDS)


class StepSchema(Schema):
    customer = fields.String(required=True)
    step = fields.String(required=True)
    count = fields.Integer(load_default=1, validate=validate.Range(1, 1000))


class DisputeSchema(Schema):
    charge = fields.String(required=True)


class ChargeSchema(Schema):
    invoice = fields.String(required=True)


class FillSchema(Schema):
    price = fields.String(required=True)
    subscriptions = fields.Integer(required=True, validate=validate.Range(1, 200_000))
    test_clock = fields.String(load_default=None)


def admin_endpoint(
    rule: str, schema: type[Schema], method: str = "POST"
) -> Callable[[Handler], Handler]:
    """Register a JSON endpoint: key, body, one transaction."""

    def register(handler: Handler) -> Handler:
        @wraps(handler)
        def view(**path: str) -> Response:
            sandbox = current_app.extensions["sandbox"]
            key = read_api_key()
            values = schema().load(_read_body()) if method == "POST" else {}
            with sandbox.store.transaction():
                account = get_or_create_account(
                    sandbox.store, key, request.host_url.rstrip("/"), sandbox.now
                )
                return jsonify(handler(account, **values, **path))

        bp.add_url_rule(rule, f"{method}_{handler.__name__}", view, methods=[method])
        return handler

    return register


@admin_endpoint("/settings", SettingsSchema)
def set_settings(account: Account, **values: Any) -> dict[str, Any]:
    account.settings |= values
    account.save_settings()
    return get_settings(account)


@admin_endpoint("/settings", SettingsSchema, "GET")
def get_settings(account: Account) -> dict[str, Any]:
    return {name: account.settings[name] for name in SettingsSchema().fields}


@admin_endpoint("/faults", FaultsSchema)
def set_faults(account: Account, **values: Any) -> dict[str, Any]:
    """Set the faults, and turn off all others."""
    injection.set_faults(account, injection.Faults(**values))
    return get_faults(account)


@admin_endpoint("/faults", FaultsSchema, "GET")
def get_faults(account: Account) -> dict[str, Any]:
    return asdict(injection.get_faults(account))


@admin_endpoint("/advance", StepSchema)
def advance(account: Account, customer: str, step: str, count: int) -> dict[str, Any]:
    """Advance a customer's time; return the advancing clock."""
    resource = account.get_undeleted("customer", customer, "customer")
    return strip_internal(time_travel.advance_customer(account, resource, step, count))


@admin_endpoint("/clocks/<id>", StepSchema, "GET")
def get_clock(account: Account, id: str) -> dict[str, Any]:
    """Return the progress of an advancing clock: its current time, and the share done."""
    test_clock = account.get_undeleted(test_clocks.KIND, id)
    return {
        "id": id,
        "status": test_clock["status"],
        "time": test_clock["_internal"]["time"],
        "happened": test_clock["_internal"]["happened"],
        "share": time_travel.get_progress(test_clock),
    }


@admin_endpoint("/disputes", DisputeSchema)
def open_dispute(account: Account, charge: str) -> dict[str, Any]:
    return strip_internal(disputes.open_dispute(account, account.get("charge", charge, "charge")))


@admin_endpoint("/charges", ChargeSchema)
def detach_payment_intent(account: Account, invoice: str) -> dict[str, Any]:
    resource = account.get_undeleted("invoice", invoice, "invoice")
    return strip_internal(collection.detach_payment_intent(account, resource))


@admin_endpoint("/fill", FillSchema)
def fill_account(
    account: Account, price: str, subscriptions: int, test_clock: str | None
) -> dict[str, Any]:
    count = bulk_seed.seed_subscriptions(
        account, account.get("price", price, "price"), subscriptions, test_clock
    )
    return {"subscriptions": count}


@bp.errorhandler(StripeError)
def handle_stripe_error(error: StripeError) -> tuple[Response, int]:
    return jsonify(error.body()), error.status


@bp.errorhandler(ValidationError)
def handle_validation_error(error: ValidationError) -> tuple[Response, int]:
    message = "The body must be a JSON object with valid fields."
    return jsonify(error={"message": message, "fields": error.messages}), 400


def _read_body() -> dict[str, Any]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise ValidationError("The body must be a JSON object.")
    return body
