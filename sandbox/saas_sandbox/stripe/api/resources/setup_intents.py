"""Setup intents, but only those of checkout sessions in mode `setup`."""

import stripe
from stripe import params as shape

from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import ids
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object


@operation("GET", "/setup_intents/<id>", shape.SetupIntentRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    params.get("client_secret")
    return account.get("setup_intent", id)


def create_setup_intent(account: Account, customer: Resource | None) -> Resource:
    id = ids.new("setup_intent")
    intent = build_object(
        stripe.SetupIntent,
        id=id,
        created=account.now(customer["test_clock"] if customer else None),
        client_secret=f"{id}_secret_{ids.token(25)}",
        customer=customer["id"] if customer else None,
        metadata={},
        payment_method_options={},
        payment_method_types=["card", "us_bank_account"],
        status="requires_payment_method",
        usage="off_session",
    )
    return account.add(intent, "setup_intent.created")
