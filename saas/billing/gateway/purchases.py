"""Read one-time payments: Checkout sessions in payment mode, with their refunds and disputes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from saas import products
from saas.billing.gateway import reading
from saas.billing.gateway.client import call, call_for_customer, check_deadline, require_id
from saas.charges import Purchase

if TYPE_CHECKING:
    import stripe

_EXPANDED = ("customer", "line_items", "payment_intent.latest_charge")
_PAID = ("paid", "no_payment_required")
# https://docs.stripe.com/api/disputes/object#dispute_object-status
_DISPUTES = {"won": "won", "lost": "lost", "prevented": "lost", "warning_closed": ""}


@dataclass(frozen=True)
class PaidSession:
    """A paid Checkout session in payment mode: the purchase, its metadata, and its customer.

    A customer deleted in Stripe has neither an email nor metadata.
    """

    purchase: Purchase
    metadata: Mapping[str, str]
    customer_id: str | None = None
    customer_email: str | None = None
    customer_metadata: Mapping[str, str] = field(default_factory=dict)


def list_purchases(customer_id: str) -> list[PaidSession]:
    """Return the one-time payments of a customer, newest first. Raises `NotFound`."""

    def fetch(client: stripe.StripeClient) -> list[PaidSession]:
        return list(_pages(client, customer=require_id(customer_id)))

    return call_for_customer(fetch)


def purchase_pages() -> Iterator[list[PaidSession]]:
    """Yield the one-time payments of the whole Stripe account, newest first, page by page."""
    after: str | None = None
    while True:
        # Each page is a call of its own, so that an outage is reported as our own error.
        purchases, after = call(lambda client, after=after: _page(client, after))  # type: ignore[misc]  # mypy: lambda
        yield purchases
        if after is None:
            return


def purchase(session_id: str) -> PaidSession | None:
    """Return a one-time payment by its session; None if it is not paid. Raises `NotFound`."""
    params: Any = {"expand": list(_EXPANDED)}

    def fetch(client: stripe.StripeClient) -> PaidSession | None:
        session = client.v1.checkout.sessions.retrieve(require_id(session_id), params)
        return _read(client, session)

    return call(fetch)


def receipt_url(payment_id: str) -> str | None:
    """Return the URL of a payment's receipt, which Stripe renews after 30 days."""
    params: Any = {"expand": ["latest_charge"]}

    def fetch(client: stripe.StripeClient) -> str | None:
        intent = client.v1.payment_intents.retrieve(require_id(payment_id), params)
        charge = reading.part(intent, "latest_charge")
        return reading.optional_text(charge, "receipt_url") if charge else None

    return call(fetch)


def payer(object_id: str) -> tuple[str | None, Mapping[str, str]]:
    """Return the customer and the metadata of a charge, or of the one of a dispute or refund.

    Events about disputes and refunds name only the charge. A charge has the metadata of its
    payment: https://docs.stripe.com/metadata
    """
    params: Any = {"expand": ["charge"]}

    def fetch(client: stripe.StripeClient) -> tuple[str | None, Mapping[str, str]]:
        if object_id.startswith(("ch_", "py_")):
            charge: Any = client.v1.charges.retrieve(require_id(object_id))
        else:
            is_dispute = object_id.startswith(("du_", "dp_"))
            source: Any = client.v1.disputes if is_dispute else client.v1.refunds
            charge = reading.part(source.retrieve(require_id(object_id), params), "charge")
        if not charge:
            return None, {}
        return reading.id_of(charge, "customer"), reading.metadata(charge)

    return call(fetch)


def _page(client: stripe.StripeClient, after: str | None) -> tuple[list[PaidSession], str | None]:
    params = _params()
    if after:
        params["starting_after"] = after
    page = client.v1.checkout.sessions.list(params)
    listed = reading.entries(page)
    purchases = [paid for session in listed if (paid := _read(client, session))]
    has_more = reading.flag(page, "has_more") and bool(listed)
    return purchases, reading.text(listed[-1], "id") if has_more else None


def _pages(client: stripe.StripeClient, **filters: str) -> Iterator[PaidSession]:
    params: Any = {**_params(), **filters}
    page = client.v1.checkout.sessions.list(params)
    reading.entries(page)
    for session in page.auto_paging_iter():
        check_deadline()
        if paid := _read(client, session):
            yield paid


def _params() -> Any:
    expand = [f"data.{path}" for path in _EXPANDED]
    return {"status": "complete", "limit": 100, "expand": expand}


def _read(client: stripe.StripeClient, session: Any) -> PaidSession | None:
    """Read a session; None unless it is a paid one for a price."""
    is_paid = reading.text(session, "payment_status") in _PAID
    if reading.text(session, "mode") != "payment" or not is_paid:
        return None
    price = _price(session)
    if price is None:
        return None
    intent = reading.part(session, "payment_intent")
    charge = reading.part(intent, "latest_charge") if intent else None
    dated = charge or session
    purchase = Purchase(
        session=reading.text(session, "id"),
        price=price,
        paid_at=reading.moment(dated, "created"),
        amount=reading.number(charge, "amount") if charge else 0,
        currency=reading.text(charge or session, "currency"),
        payment=reading.text(intent, "id") if intent else None,
        refunded=reading.number(charge, "amount_refunded") if charge else 0,
        dispute=_dispute(client, charge, reading.text(intent, "id")) if charge else "",
    )
    customer: Any = reading.part(session, "customer")
    return PaidSession(
        purchase,
        reading.metadata(session),
        reading.text(customer, "id") if customer else None,
        reading.optional_text(customer, "email") if customer else None,
        reading.metadata(customer) if customer else {},
    )


def _price(session: Any) -> str | None:
    """Return the first price of a session that the catalogue sells; otherwise its first price."""
    lines = reading.optional_entries(session, "line_items")
    prices = [reading.part(line, "price") for line in lines]
    ids = [reading.text(price, "id") for price in prices if price]
    return next((id for id in ids if products.sold_as(id)), next(iter(ids), None))


def _dispute(client: stripe.StripeClient, charge: Any, payment_id: str) -> str:
    """Return the state of a charge's disputes; a lost one counts most, then an open one."""
    if not reading.flag(charge, "disputed"):
        return ""
    page = client.v1.disputes.list({"payment_intent": payment_id, "limit": 100})
    statuses = [reading.text(dispute, "status") for dispute in reading.entries(page)]
    states = {_DISPUTES.get(status, "open") for status in statuses}
    return next((state for state in ("lost", "open", "won") if state in states), "")
