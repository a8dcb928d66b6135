"""Payment intents: read, confirm, and one-time payments. https://docs.stripe.com/api/payment_intents"""

from stripe import params as shape

from saas_sandbox.stripe.api import pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import collection, metadata, payment_methods, payments
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import StripeError, invalid
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.payments import Outcome
from saas_sandbox.stripe.engine.resource import Resource, strip_internal

URL = "/v1/payment_intents"


@operation("POST", "/payment_intents", shape.PaymentIntentCreateParams)
def create(account: Account, params: Params) -> Resource:
    if params["amount"] < 1:
        raise invalid("Invalid positive integer", "amount", "parameter_invalid_integer")
    customer_id = params.get("customer")
    customer = account.get_undeleted("customer", customer_id, "customer") if customer_id else None
    intent = payments.create_intent(
        account,
        amount=params["amount"],
        currency=params["currency"].lower(),
        customer=customer,
        description=params.get("description"),
        setup_future_usage=params.get("setup_future_usage"),
    )
    params.get("automatic_payment_methods")
    params.get("payment_method_types")
    params.copy_to(intent, "receipt_email")
    metadata.update_metadata(intent, params)
    if "payment_method" in params:
        method = _resolve_payment_method(account, params, intent)
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    account.save(intent)
    return _confirm(account, intent, params) if params.get("confirm") else intent


@operation("GET", "/payment_intents/<id>", shape.PaymentIntentRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    params.get("client_secret")
    return account.get("payment_intent", id)


@operation("GET", "/payment_intents", shape.PaymentIntentListParams)
def list_all(account: Account, params: Params) -> Resource:
    return pagination.list_page(
        account, "payment_intent", URL, params, customer=params.get("customer")
    )


@operation("POST", "/payment_intents/<id>/confirm", shape.PaymentIntentConfirmParams)
def confirm(account: Account, params: Params, id: str) -> Resource:
    return _confirm(account, account.get("payment_intent", id), params)


@operation("POST", "/payment_intents/<id>/cancel", shape.PaymentIntentCancelParams)
def cancel(account: Account, params: Params, id: str) -> Resource:
    intent = account.get("payment_intent", id)
    if intent["status"] in ("succeeded", "canceled", "processing"):
        raise _unexpected_state(intent, "cancel")
    return payments.cancel_intent(account, intent, params.get("cancellation_reason"))


def _confirm(account: Account, intent: Resource, params: Params) -> Resource:
    if intent["status"] in ("succeeded", "canceled", "processing"):
        raise _unexpected_state(intent, "confirm")
    method = _resolve_payment_method(account, params, intent)
    params.get("return_url")
    off_session = bool(params.get("off_session")) or bool(params.get("error_on_requires_action"))
    outcome = payments.confirm_intent(account, intent, method)
    _settle_invoice(account, intent, outcome)
    if outcome.decline and (off_session or outcome.kind == "declined"):
        raise outcome.decline.error(recorded=True, payment_intent=strip_internal(intent))
    return intent


def _settle_invoice(account: Account, intent: Resource, outcome: Outcome) -> None:
    """Settle the invoice that a payment belongs to."""
    if invoice_id := intent["_internal"].get("invoice"):
        invoice = account.get("invoice", invoice_id)
        if invoice["status"] == "open":
            collection.record_attempt(account, invoice, outcome)


def _resolve_payment_method(account: Account, params: Params, intent: Resource) -> Resource:
    method_id = params.get("payment_method") or intent["payment_method"]
    if not method_id:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    return payment_methods.resolve_payment_method(account, method_id, "payment_method")


def _unexpected_state(intent: Resource, verb: str) -> StripeError:
    return invalid(
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
    )
