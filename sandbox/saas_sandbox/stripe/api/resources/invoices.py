"""Invoices. https://docs.stripe.com/api/invoices"""

from typing import Any

from stripe import params as shape

from saas_sandbox.stripe.api import expand, pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.api.resources.invoice_preview import preview_invoice
from saas_sandbox.stripe.engine import collection, invoicing, metadata, payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.cards import Decline
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.payments import Outcome
from saas_sandbox.stripe.engine.resource import Resource, strip_internal

URL = "/v1/invoices"

NEEDS_ACTION = Decline(
    "invoice_payment_intent_requires_action",
    None,
    "This payment requires additional user action before it can be completed successfully. "
    "Payment can be completed using the PaymentIntent associated with the invoice.",
)


@operation("GET", "/invoices/<id>", shape.InvoiceRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get_undeleted("invoice", id)


@operation("GET", "/invoices", shape.InvoiceListParams)
def list_all(account: Account, params: Params) -> Resource:
    names = ("customer", "subscription", "status")
    equal = {name: params.get(name) for name in names}
    condition: tuple[str, list[Any]] = ("1", [])
    if "collection_method" in params:
        condition = ("json_extract(body, '$.collection_method') = ?", [params["collection_method"]])
    return pagination.list_page(account, "invoice", URL, params, condition=condition, **equal)


@operation("POST", "/invoices/create_preview", shape.InvoiceCreatePreviewParams)
def create_preview(account: Account, params: Params) -> Resource:
    return preview_invoice(account, params)


@operation("POST", "/invoices/<id>", shape.InvoiceUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    invoice = account.get_undeleted("invoice", id)
    metadata.update_metadata(invoice, params)
    params.copy_to(invoice, "description", "footer", "auto_advance")
    if method := params.get("default_payment_method"):
        customer = account.get("customer", invoice["customer"])
        param = "default_payment_method"
        invoice[param] = payment_methods.get_owned_method(account, method, customer, param)["id"]
    if invoice["status"] == "draft" and params.get("auto_advance"):
        due = account.now(invoice["test_clock"]) + invoicing.DRAFT_SECONDS
        invoice["automatically_finalizes_at"] = invoice["_internal"]["due"] = due
    return account.save(invoice, "invoice.updated")


@operation("POST", "/invoices/<id>/finalize", shape.InvoiceFinalizeInvoiceParams)
def finalize(account: Account, params: Params, id: str) -> Resource:
    invoice = account.get_undeleted("invoice", id)
    if (auto_advance := params.get("auto_advance")) is not None:
        invoice["auto_advance"] = auto_advance
    return collection.finalize_for_payment(account, invoice)


@operation("POST", "/invoices/<id>/pay", shape.InvoicePayParams)
def pay(account: Account, params: Params, id: str) -> Resource:
    invoice = account.get_undeleted("invoice", id)
    if invoice["status"] == "draft":
        collection.finalize_for_payment(account, invoice)
    if invoice["status"] == "paid":
        raise invalid("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] not in ("open", "uncollectible"):
        raise invalid("Invoice cannot be paid: its status is void.")
    if params.get("paid_out_of_band"):
        collection.pay_out_of_band(account, invoice)
        return invoice

    method = _find_payment_method(account, params, invoice)
    _raise_on_failure(collection.collect_invoice(account, invoice, method=method))
    params.get("off_session")
    return invoice


@operation("POST", "/invoices/<id>/void", shape.InvoiceVoidInvoiceParams)
def void(account: Account, params: Params, id: str) -> Resource:
    return invoicing.void_invoice(account, account.get_undeleted("invoice", id))


@operation("POST", "/invoices/<id>/mark_uncollectible", shape.InvoiceMarkUncollectibleParams)
def mark_uncollectible(account: Account, params: Params, id: str) -> Resource:
    return invoicing.mark_uncollectible(account, account.get_undeleted("invoice", id))


@operation("GET", "/invoices/<id>/lines", shape.InvoiceListLinesParams)
def list_lines(account: Account, params: Params, id: str) -> Resource:
    invoice = account.get_undeleted("invoice", id)
    return pagination.list_slice(invoice["lines"]["data"], f"{URL}/{id}/lines", params)


@operation("GET", "/invoice_payments", shape.InvoicePaymentListParams)
def list_payments(account: Account, params: Params) -> Resource:
    equal = {"parent": params.get("invoice"), "status": params.get("status")}
    return pagination.list_page(account, "invoice_payment", "/v1/invoice_payments", params, **equal)


def _find_payment_method(account: Account, params: Params, invoice: Resource) -> Resource | None:
    if method := params.get("payment_method"):
        customer = account.get("customer", invoice["customer"])
        return payment_methods.get_owned_method(account, method, customer, "payment_method")
    return None


def _raise_on_failure(outcome: Outcome) -> None:
    """Raise an error for a failed payment, but keep the recorded attempt."""
    if outcome.kind == "no_method":
        raise invalid(
            "There is no default_payment_method set on this Customer or Invoice. Please set a "
            "payment method or use the `payment_method` parameter.",
            "payment_method",
        )
    if outcome.kind == "requires_action":
        raise NEEDS_ACTION.error(recorded=True)
    if outcome.decline:
        raise outcome.decline.error(recorded=True)


def _list_payments(account: Account, invoice: Resource) -> Resource:
    payments = account.select("invoice_payment", "parent = ?", invoice["id"])
    url = f"/v1/invoice_payments?invoice={invoice['id']}"
    return pagination.build_list([strip_internal(payment) for payment in payments], url)


def _sum_paid_off_stripe(account: Account, invoice: Resource) -> int:
    """Return the amount that payment records report."""
    payments = account.select("invoice_payment", "parent = ?", invoice["id"])
    off_stripe = [payment for payment in payments if payment["payment"]["type"] == "payment_record"]
    return sum(payment["amount_paid"] or 0 for payment in off_stripe)


expand.INCLUDABLE_FIELDS["invoice", "payments"] = _list_payments
expand.INCLUDABLE_FIELDS["invoice", "amount_paid_off_stripe"] = _sum_paid_off_stripe
