"""Payment records of invoices that were paid out of band."""

from stripe import params as shape

from saas_sandbox.stripe.api import pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource

KIND = "payment_record"


@operation("GET", "/payment_records/<id>", shape.PaymentRecordRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get(KIND, id)


@operation("GET", "/payment_records", shape.PaymentRecordListParams)
def list_all(account: Account, params: Params) -> Resource:
    return pagination.list_page(account, KIND, "/v1/payment_records", params)
