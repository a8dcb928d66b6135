"""Payment methods. https://docs.stripe.com/api/payment_methods"""

from stripe import params as shape

from saas_sandbox.stripe.api import pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import metadata, payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.cards import CARDS_BY_NAME, CARDS_BY_NUMBER
from saas_sandbox.stripe.engine.errors import StripeError, invalid
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource

URL = "/v1/payment_methods"


@operation("POST", "/payment_methods", shape.PaymentMethodCreateParams)
def create(account: Account, params: Params) -> Resource:
    """Create a card from its test number. Stripe refuses raw numbers by default."""
    if params.get("type") != "card" or "card" not in params:
        raise invalid("This sandbox only creates payment methods of type card.", "type")
    card = params["card"]
    token = card.get("token")
    method = _build_from_token(account, token) if token else _build_from_number(account, card)
    _set_billing_details(method, params)
    metadata.update_metadata(method, params)
    return account.add(method)


@operation("GET", "/payment_methods/<id>", shape.PaymentMethodRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return payment_methods.resolve_payment_method(account, id, "id")


@operation("POST", "/payment_methods/<id>", shape.PaymentMethodUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    method = account.get("payment_method", id)
    _set_billing_details(method, params)
    params.section("card").copy_to(method.get("card") or {}, "exp_month", "exp_year")
    params.copy_to(method, "allow_redisplay")
    metadata.update_metadata(method, params)
    return account.save(method, "payment_method.updated")


@operation("GET", "/payment_methods", shape.PaymentMethodListParams)
def list_all(account: Account, params: Params) -> Resource:
    kind = params.get("type")
    condition = (
        ("json_extract(body, '$.type') = ?", [kind]) if kind else ("customer IS NOT NULL", [])
    )
    customer = params.get("customer")
    if customer:
        account.get_undeleted("customer", customer, "customer")
    return pagination.list_page(
        account, "payment_method", URL, params, condition=condition, customer=customer
    )


@operation("GET", "/customers/<id>/payment_methods", shape.CustomerListPaymentMethodsParams)
def list_for_customer(account: Account, params: Params, id: str) -> Resource:
    account.get_undeleted("customer", id)
    kind = params.get("type")
    condition = ("json_extract(body, '$.type') = ?", [kind]) if kind else ("1", [])
    url = f"/v1/customers/{id}/payment_methods"
    return pagination.list_page(
        account, "payment_method", url, params, condition=condition, customer=id
    )


@operation("POST", "/payment_methods/<id>/attach", shape.PaymentMethodAttachParams)
def attach(account: Account, params: Params, id: str) -> Resource:
    customer = account.get_undeleted("customer", params["customer"], "customer")
    return payment_methods.attach_payment_method(account, id, customer)


@operation("POST", "/payment_methods/<id>/detach", shape.PaymentMethodDetachParams)
def detach(account: Account, params: Params, id: str) -> Resource:
    method = account.get("payment_method", id)
    if not method["customer"]:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible.",
            "payment_method",
        )
    return payment_methods.detach_payment_method(account, method)


def _build_from_number(account: Account, card: Params) -> Resource:
    number = str(card.get("number", "")).replace(" ", "")
    if number not in CARDS_BY_NUMBER:
        raise StripeError(
            "Your card number is incorrect.",
            status=402,
            type="card_error",
            code="incorrect_number",
            param="number",
        )
    method = payment_methods.build_from_card(account, CARDS_BY_NUMBER[number])
    card.get("cvc")
    card.copy_to(method["card"], "exp_month", "exp_year")
    return method


def _build_from_token(account: Account, token: str) -> Resource:
    card = CARDS_BY_NAME.get(token.replace("tok_", "pm_card_", 1))
    if card is None:
        raise invalid(f"No such token: '{token}'", "card[token]", "resource_missing")
    return payment_methods.build_from_card(account, card)


def _set_billing_details(method: Resource, params: Params) -> None:
    details = params.section("billing_details")
    details.copy_to(method["billing_details"], "email", "name", "phone")
    details.section("address").copy_to(
        method["billing_details"]["address"], *payment_methods.EMPTY_ADDRESS
    )
