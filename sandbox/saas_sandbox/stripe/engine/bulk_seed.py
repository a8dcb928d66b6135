"""Create thousands of subscriptions in seconds, for tests of speed and paging.

The first is created in the ordinary way. The others are copies with their own ids: customer, card,
subscription and paid invoice, without events and payments.
"""

import json

from saas_sandbox.stripe.engine import billing_cycle, ids, payment_methods, subscription_creation
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.cards import CARDS_BY_NAME
from saas_sandbox.stripe.engine.customers import build_customer
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.resource import Resource, dump, get_columns

BATCH = 1000


def seed_subscriptions(account: Account, price: Resource, count: int, clock: str | None) -> int:
    """Create active subscriptions to a price, each with its own customer."""
    if not price["recurring"]:
        raise invalid("The price must be recurring.", "price")
    template = _create_template(account, price, clock)
    text = json.dumps([{**resource, "_internal": resource["_internal"]} for resource in template])
    kinds = _collect_ids(template)
    for start in range(1, count, BATCH):
        rows = []
        for _ in range(start, min(start + BATCH, count)):
            rows += _copy_rows(account, text, kinds)
        account.store.execute_many(INSERT, rows)
    return count


INSERT = (
    "INSERT INTO objects (account, type, id, created, customer, subscription, status, price, "
    "parent, lookup, clock, due, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _create_template(account: Account, price: Resource, clock: str | None) -> list[Resource]:
    if clock:
        account.get_undeleted("test_helpers.test_clock", clock, "test_clock")
    customer = account.add(build_customer(account, clock))
    method = account.add(
        payment_methods.build_from_card(account, CARDS_BY_NAME["pm_card_visa"], clock)
    )
    payment_methods.attach_stored_method(account, method, customer)
    customer["invoice_settings"]["default_payment_method"] = method["id"]
    subscription = billing_cycle.build_subscription(account, customer, [(price, 1, {})])
    subscription_creation.create_by_checkout(account, subscription, customer, method)
    account.save(customer)
    return [
        account.get("customer", customer["id"]),
        account.get("payment_method", method["id"]),
        account.get("subscription", subscription["id"]),
        account.get("invoice", subscription["latest_invoice"]),
    ]


def _collect_ids(template: list[Resource]) -> dict[str, str]:
    """Return every id that a copy must replace, with its kind."""
    kinds = {resource["id"]: resource["object"] for resource in template}
    subscription, invoice = template[2], template[3]
    kinds |= {item["id"]: "subscription_item" for item in subscription["items"]["data"]}
    return kinds | {line["id"]: "line_item" for line in invoice["lines"]["data"]}


def _copy_rows(account: Account, text: str, kinds: dict[str, str]) -> list[tuple[object, ...]]:
    for old, kind in kinds.items():
        text = text.replace(old, ids.new(kind))
    return [_to_row(account, resource) for resource in json.loads(text)]


def _to_row(account: Account, resource: Resource) -> tuple[object, ...]:
    values = get_columns(resource)
    names = ("customer", "subscription", "status", "price", "parent", "lookup", "clock", "due")
    head = (account.id, resource["object"], resource["id"], resource["created"])
    return (*head, *(values[name] for name in names), dump(resource))
