"""Cards and bank accounts of customers."""

import hashlib
from typing import Any

import stripe

from saas_sandbox.stripe.engine import ids
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.cards import (
    BANKS_BY_NAME,
    BANKS_BY_NUMBER,
    CARDS_BY_NAME,
    CARDS_BY_NUMBER,
    DECLINES,
    BankAccount,
    Card,
)
from saas_sandbox.stripe.engine.errors import invalid, resource_missing
from saas_sandbox.stripe.engine.resource import Resource

EMPTY_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def complete_address(address: dict[str, Any] | None) -> dict[str, str | None] | None:
    """Return an address with all of Stripe's fields; missing ones are null."""
    return {name: address.get(name) or None for name in EMPTY_ADDRESS} if address else None


def attach_payment_method(
    account: Account, method_id: str, customer: Resource, param: str = "payment_method"
) -> Resource:
    """Attach a payment method to a customer: an existing one, or a copy of a test card."""
    return attach_stored_method(
        account,
        resolve_payment_method(account, method_id, param, clock=customer["test_clock"]),
        customer,
        param,
    )


def attach_stored_method(
    account: Account, method: Resource, customer: Resource, param: str = "payment_method"
) -> Resource:
    if method["customer"] == customer["id"]:
        return method
    if method["customer"]:
        raise invalid(
            "The payment method you provided has already been attached to a customer.", param
        )

    fails = get_behaviour(method).get("attach_fails")
    if fails:
        raise DECLINES[fails].error(param=param)
    method["customer"] = customer["id"]
    return account.save(method, "payment_method.attached")


def detach_payment_method(account: Account, method: Resource) -> Resource:
    customer = account.get("customer", method["customer"])
    if not customer.get("deleted") and is_default(method, customer):
        customer["invoice_settings"]["default_payment_method"] = None
        account.save(customer, "customer.updated")
    method["customer"] = None
    return account.save(method, "payment_method.detached")


def is_default(method: Resource, customer: Resource) -> bool:
    return bool(customer["invoice_settings"]["default_payment_method"] == method["id"])


def get_owned_method(account: Account, method_id: str, customer: Resource, param: str) -> Resource:
    """Return a payment method that must belong to the customer."""
    method = account.find("payment_method", method_id)
    if method is None:
        raise resource_missing("payment_method", method_id, param)
    if method["customer"] != customer["id"]:
        raise invalid(
            f"The customer does not have a payment method with the ID {method_id}. "
            "The payment method must be attached to the customer.",
            param,
            "resource_missing",
        )
    return method


def resolve_payment_method(
    account: Account, method_id: str, param: str, clock: str | None = None
) -> Resource:
    """Return a stored payment method, or a new one for a test id such as pm_card_visa."""
    if method_id in CARDS_BY_NAME:
        return account.add(build_from_card(account, CARDS_BY_NAME[method_id], clock))
    if method_id in BANKS_BY_NAME:
        return account.add(build_from_bank(account, BANKS_BY_NAME[method_id], clock))
    return account.get("payment_method", method_id, param)


def build_from_card(account: Account, card: Card, clock: str | None = None) -> Resource:
    return _build_method(account, clock, "card", _card_fields(card), number=card.number)


def build_from_bank(account: Account, bank: BankAccount, clock: str | None = None) -> Resource:
    return _build_method(account, clock, "us_bank_account", _bank_fields(bank), number=bank.account)


def get_behaviour(method: Resource) -> dict[str, Any]:
    """Return the behaviour of this method when it is attached or charged."""
    number = method["_internal"]["number"]
    if number in BANKS_BY_NUMBER:
        return {"delayed": True, "charge_fails": BANKS_BY_NUMBER[number].fails}
    card = CARDS_BY_NUMBER[number]
    return {
        "delayed": False,
        "attach_fails": card.attach_fails,
        "charge_fails": card.charge_fails,
        "authentication": card.authentication,
        "disputed": card.disputed,
        "refund_fails": card.refund_fails,
    }


def describe_method(method: Resource) -> str:
    """Return a description for people, such as "Visa •••• 4242"."""
    if method["type"] == "card":
        return f"{method['card']['brand'].title()} •••• {method['card']['last4']}"
    return f"Bank account •••• {method['us_bank_account']['last4']}"


def _build_method(
    account: Account, clock: str | None, kind: str, fields: dict[str, Any], number: str
) -> Resource:
    return {
        "id": ids.new("payment_method"),
        "object": stripe.PaymentMethod.OBJECT_NAME,
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": dict(EMPTY_ADDRESS),
            "email": None,
            "name": None,
            "phone": None,
            "tax_id": None,
        },
        kind: fields,
        "created": account.now(clock),
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": kind,
        "_internal": {"number": number, "set_up": False, "clock": clock or ""},
    }


def _card_fields(card: Card) -> dict[str, Any]:
    return {
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass",
        },
        "country": "US",
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": hashlib.sha256(card.number.encode()).hexdigest()[:16],
        "funding": "debit" if "debit" in card.names[0] else "credit",
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _bank_fields(bank: BankAccount) -> dict[str, Any]:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": hashlib.sha256(bank.account.encode()).hexdigest()[:16],
        "last4": bank.last4,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": {},
    }
