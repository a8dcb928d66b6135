"""Create customers."""

import re

import stripe

from saas_sandbox.stripe.engine import ids
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

# One @, a domain of labels without a dot at either end. https://docs.stripe.com/api/customers
EMAIL = re.compile(r"[^\s@,;<>()\x00-\x1f]+@(?:[^\s@.,;<>()_]+\.)*[^\s@.,;<>()_]+")


def build_customer(account: Account, clock: str | None = None) -> Resource:
    return build_object(
        stripe.Customer,
        id=ids.new("customer"),
        created=account.now(clock),
        balance=0,
        delinquent=False,
        invoice_prefix=ids.token(8).upper(),
        invoice_settings={
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        metadata={},
        next_invoice_sequence=1,
        preferred_locales=[],
        tax_exempt="none",
        test_clock=clock,
    )


def validate_field(name: str, value: str | None) -> str | None:
    """Return the stored form of a name or email address; None if it is empty."""
    if name == "email" and value:
        check_email(value, "email")
    return value[:256] if value else None


def check_email(value: str, param: str) -> None:
    if not EMAIL.fullmatch(value) or len(value) > 512:
        raise invalid(f"Invalid email address: {value[:100]}", param, "email_invalid")
