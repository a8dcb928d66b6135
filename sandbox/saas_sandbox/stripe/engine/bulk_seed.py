"""Create many subscriptions in seconds, for tests of speed and paging.

The first is created the ordinary way. The others are copies with their own ids: customer, card,
subscription and paid invoice, without events and payments.
"""

import json

from saas_sandbox.stripe.engine import billing_cycle, ids, payment_methods, subscription_creation
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.cards import BY_NAME
from saas_sandbox.stripe.engine.customers import new_customer
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.resource import Resource, columns, dump

BATCH = 1000


def fill(account: Account, price: Resource, count: int, clock: str | None) -> int:
    """Create active subscriptions to a price, each with its own customer."""
    if not price["recurring"]:
        raise invalid("The price must be recurring.", "price")
    model = _model(account, price, clock)
    text = json.dumps([{**resource, "_internal": resource["_internal"]} for resource in model])
    own = _ids_in(model)
    for start in range(1, count, BATCH):
        rows = []
        for _ in range(start, min(start + BATCH, count)):
            rows += _copy(account, text, own)
        account.store.execute_many(INSERT, rows)
    return count


INSERT = (
    "INSERT INTO objects (account, type, id, created, customer, subscription, status, price, "
    "parent, lookup, clock, due, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _model(account: Account, price: Resource, clock: str | None) -> list[Resource]:
    if clock:
        account.get_undeleted("test_helpers.test_clock", clock, "test_clock")
    customer = account.add(new_customer(account, clock))
    method = account.add(payment_methods.from_card(account, BY_NAME["pm_card_visa"], clock))
    payment_methods.attach_stored(account, method, customer)
    customer["invoice_settings"]["default_payment_method"] = method["id"]
    subscription = billing_cycle.new(account, customer, [(price, 1, {})])
    subscription_creation.by_checkout(account, subscription, customer, method)
    account.save(customer)
    return [
        account.get("customer", customer["id"]),
        account.get("payment_method", method["id"]),
        account.get("subscription", subscription["id"]),
        account.get("invoice", subscription["latest_invoice"]),
    ]


def _ids_in(model: list[Resource]) -> dict[str, str]:
    """Return every id that a copy must replace, with its kind."""
    own = {resource["id"]: resource["object"] for resource in model}
    subscription, invoice = model[2], model[3]
    own |= {item["id"]: "subscription_item" for item in subscription["items"]["data"]}
    return own | {line["id"]: "line_item" for line in invoice["lines"]["data"]}


def _copy(account: Account, text: str, own: dict[str, str]) -> list[tuple[object, ...]]:
    for old, kind in own.items():
        text = text.replace(old, ids.new(kind))
    return [_row(account, resource) for resource in json.loads(text)]


def _row(account: Account, resource: Resource) -> tuple[object, ...]:
    values = columns(resource)
    names = ("customer", "subscription", "status", "price", "parent", "lookup", "clock", "due")
    head = (account.id, resource["object"], resource["id"], resource["created"])
    return (*head, *(values[name] for name in names), dump(resource))
