"""Ids with Stripe's prefixes."""

import secrets
import string

ALPHABET = string.ascii_letters + string.digits

PREFIXES = {
    "balance_transaction": "txn_1",
    "billing_portal.configuration": "bpc_1",
    "billing_portal.session": "bps_1",
    "charge": "ch_3",
    "checkout.session": "cs_test_",
    "coupon": "",
    "customer": "cus_",
    "discount": "di_1",
    "dispute": "du_1",
    "event": "evt_1",
    "invoice": "in_1",
    "invoice_payment": "inpay_1",
    "invoiceitem": "ii_1",
    "item": "li_1",
    "line_item": "il_1",
    "payment_intent": "pi_3",
    "payment_method": "pm_1",
    "payment_record": "pr_1",
    "price": "price_1",
    "product": "prod_",
    "promotion_code": "promo_1",
    "refund": "re_3",
    "setup_intent": "seti_1",
    "subscription": "sub_1",
    "subscription_item": "si_",
    "subscription_schedule": "sub_sched_1",
    "test_helpers.test_clock": "clock_1",
    "webhook_endpoint": "we_1",
}

LENGTHS = {"checkout.session": 58, "coupon": 8, "customer": 14, "product": 14}


def new(kind: str) -> str:
    """Return a new id for a kind. Session ids are long, because they protect their page."""
    return PREFIXES[kind] + token(LENGTHS.get(kind, 23))


def token(length: int) -> str:
    """Return random letters and digits, with one system call."""
    return secrets.token_bytes(length).translate(_LETTERS).decode()


def kind_from_id(id: str) -> str | None:
    """Return the kind of an id by its longest matching prefix."""
    return next((kind for prefix, kind in _BY_PREFIX if id.startswith(prefix)), None)


_LETTERS = bytes(ord(ALPHABET[number % len(ALPHABET)]) for number in range(256))

_BY_PREFIX = sorted(
    ((prefix.rstrip("13"), kind) for kind, prefix in PREFIXES.items() if prefix),
    key=lambda pair: -len(pair[0]),
)
