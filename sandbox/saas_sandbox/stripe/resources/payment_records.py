"""Payment records, as far as an invoice paid out of band leaves one behind."""

from stripe import params as shape

from .. import pages
from ..account import Account
from ..operations import operation
from ..params import Params
from ..resource import Resource

KIND = "payment_record"


@operation("GET", "/payment_records/<id>", shape.PaymentRecordRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get(KIND, id)


@operation("GET", "/payment_records", shape.PaymentRecordListParams)
def list_all(account: Account, params: Params) -> Resource:
    return pages.page(account, KIND, "/v1/payment_records", params)
